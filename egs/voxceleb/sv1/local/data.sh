#!/usr/bin/env bash
# VoxCeleb and the paper's other test sets as data directories. Nothing is downloaded: the corpora are expected in
# --corpora, under the names below, or where an option says. Everything that is missing is named before anything is made.
#
# Writes data/{voxceleb2_dev,valid,vox1_o,vox1_e,vox1_h,voxsrc23_val,vcmix,voices_dev,voices_eval}/{wav.scp,…,trials},
# data/{musan_speech,musan_music,musan_noise,rirs}/wav.scp, and data/local/trial_lists.tsv (checksums and counts of the lists).
# README.md of the recipe shows the layouts. Run it in the work directory.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC1091  # found through the folder of this file
. "$recipe/../../../path.sh"

# Folder that receives the data directories.
data_dir=data
# Folder with the corpora, or links to them: voxceleb1, voxceleb2, musan, RIRS_NOISES, voxsrc23, vcmix, voices, lists.
corpora=corpora
# VoxCeleb1, dev and test part: idXXXXX/VIDEO/00001.wav in or below it.
voxceleb1=
# VoxCeleb2, dev part: idXXXXX/VIDEO/00001.m4a or .wav in or below it.
voxceleb2=
# MUSAN: speech, music and noise in it or in musan below it.
musan=
# RIRS_NOISES, with simulated_rirs in it; without it, and without RIRS_NOISES among the corpora, rooms are simulated.
rirs=
# Room impulse responses to simulate where RIRS_NOISES is not there.
num_rirs=1000
# VoxSRC 2023 validation: the recordings, and VoxSRC2023_val.txt if it is not among the lists.
voxsrc23=
# VCMix: the utterances of VoxConverse, and vcmix_test.txt if it is not among the lists.
vcmix=
# VOiCES challenge 2019: Development_Data, Speaker_Recognition/sid_eval and the keys of both.
voices=
# Trial lists: veri_test2.txt, list_test_all2.txt, list_test_hard2.txt; or vox1_o.txt and so on, after the sets.
lists=
# Sets to make, separated by blanks, as run.sh passes them; empty makes all. Test sets alone need no training corpora.
sets=
# Validation set: voxceleb1 (speakers of its dev part), voxceleb2 (held out from training), vox1_o, or a list of trials over
# VoxCeleb1.
valid=voxceleb1
# Speakers of the validation set.
valid_speakers=40
# Seed of the choice of validation speakers and trials.
seed=0
# Largest share of a list's trials whose recordings may be missing, and of files that may fail to convert.
max_missing=0.02
# true: m4a files are converted to 16 kHz WAV once, in parallel jobs; false: stage 2 decodes them.
convert=false
# Folder of the converted files.
converted_dir=converted
# Parallel jobs.
nj=2
# shellcheck disable=SC1091
. "$SVMIXER_ROOT/tools/parse_options.sh"
# shellcheck disable=SC1091
. "$SVMIXER_ROOT/cmd.sh"
# shellcheck disable=SC1091
. "$SVMIXER_ROOT/tools/run_child.sh"

require_bool convert
require_int 1 nj num_rirs
require_int 2 valid_speakers
require_int 0 seed
train=false tests=()
for set in ${sets:-voxceleb2_dev vox1_o vox1_e vox1_h voxsrc23_val vcmix voices_dev voices_eval}; do
    case $set in
        voxceleb2_dev | valid | musan_speech | musan_music | musan_noise | rirs) train=true ;;
        *) tests+=("$set") ;;
    esac
done
test_sets=$(IFS=, && echo "${tests[*]-}")
[ -n "$rirs" ] || [ ! -d "$corpora/RIRS_NOISES" ] || rirs=$corpora/RIRS_NOISES

options=(--data_dir "$data_dir" --corpora "$corpora" --voxceleb1 "$voxceleb1" --voxceleb2 "$voxceleb2" --musan "$musan"
    --rirs "$rirs" --voxsrc23 "$voxsrc23" --vcmix "$vcmix" --voices "$voices" --lists "$lists" --test_sets "$test_sets"
    --train "$train" --valid "$valid" --valid_speakers "$valid_speakers" --seed "$seed" --max_missing "$max_missing")
mkdir -p "$data_dir/local"
rm -f "$data_dir"/local/voxceleb[12]*
python "$recipe/local/find_corpora.py" "${options[@]}"

if [ "$convert" = true ]; then
    options+=(--converted_dir "$converted_dir")
    for corpus in voxceleb1 voxceleb2; do
        scp=$data_dir/local/$corpus.scp
        [ -f "$scp" ] || continue
        output=$converted_dir/$corpus
        mkdir -p "$output"
        rm -f "$output"/failed.*.tsv
        echo "$corpus: converting into $output ($nj jobs, logs in $output/log)"
        # shellcheck disable=SC2154  # from cmd.sh
        run_tasks "$dump_cmd" "$nj" "$output/log/convert" \
            python "$recipe/local/convert.py" --scp "$scp" --output_dir "$output" --num_jobs "$nj"
    done
fi
python "$recipe/local/make_sets.py" "${options[@]}"

if [ "$train" = true ] && [ -z "$rirs" ]; then
    echo "rirs: no RIRS_NOISES in $corpora, simulating $num_rirs rooms instead"
    python "$SVMIXER_ROOT/egs/debian_voices/sv1/local/simulate_rirs.py" \
        --output_dir "$data_dir/rirs" --num "$num_rirs" --seed "$seed" --nj "$nj"
fi
