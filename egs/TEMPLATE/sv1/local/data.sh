#!/usr/bin/env bash
# Makes data/{train,valid,test}, split by speaker, from a folder with a folder of recordings for each speaker (--audio_dir), or from
# wav.scp and utt2spk of a corpus; trials are made if none are given.
#
# The lists are copied to data/all, repaired there (sorted, cleaned, reduced to what all of them have) and validated; what is left
# out is printed. Your own files are not changed. The same lists and options give the same sets.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC1091  # found through the folder of this file
. "$recipe/path.sh"

# Folder with a folder for each speaker, in which the audio files, at any depth and of any usual format, are the speaker's utterances;
# empty: the lists below.
audio_dir=
# List `recording source`: a file, archive:offset, or a command that writes audio and ends in a bar.
wav_scp=$recipe/lists/wav.scp
# List `utterance speaker`.
utt2spk=$recipe/lists/utt2spk
# List `utterance recording start end [channel]`, in seconds; empty: lists/segments if it is there, else every recording is an
# utterance.
segments=
# List `recording file A|B|1|2…`, the channel of each recording; empty: lists/reco2file_and_channel if it is there, else none.
reco2file_and_channel=
# List `1 utterance utterance` and `0 utterance utterance`; empty: lists/trials if it is there, else trials are made.
trials=
# List `model utterance1 utterance2 …` of the models that the first names of trials are; empty: lists/enroll.map if it is there, else
# trials are between utterances.
enroll_map=
# Speakers to validate with, chosen by the seed among those with two utterances or more; empty: 15 % of these, from 2 to 15.
valid_speakers=
# Speakers to test with, chosen in the same way; empty: 30 %, from 2 to 30. Not used if there are trials, which define the test set.
test_speakers=
# true: all speakers are the test set, to evaluate a model without training one (./run.sh --model pocket2).
test_only=false
# Seed of the choice of speakers and trials.
seed=0
# true: leave out recordings whose file is missing; false: they are an error.
drop_missing=false
# Sets that are wanted, separated by blanks; run.sh says which.
sets="train valid test"
# Folder that receives the data directories.
data_dir=data
# Parallel jobs: every recipe has this option; lists need only one.
nj=1
# shellcheck disable=SC1091
. "$SVMIXER_ROOT/tools/parse_options.sh"

require_bool drop_missing test_only
require_int 1 nj
for name in valid_speakers test_speakers; do
    [ -z "${!name}" ] || require_int 2 "$name"
done
require_int 0 seed
: "$nj"

# with_options WORD…: these options of mine, and those that I was given and that run.sh does not give, as run.sh takes them.
with_options() {
    local name words=()
    for name in $_given_options; do
        [[ $name =~ ^(sets|data_dir|nj)$ ]] || words+=("--$name" "${!name}")
    done
    quoted "$(quoted "${words[@]}" "$@")"
}
if [ "$test_only" = true ] && was_given sets && [ "$sets" != test ]; then
    echo "${0##*/}: --test_only true leaves nobody to train with: evaluate a model (./run.sh --model pocket2 --tag pocket2), or take" \
        "that option back with --local_data_opts" >&2
    exit 1
fi
if [ -n "$audio_dir" ]; then
    for name in wav_scp utt2spk segments reco2file_and_channel; do
        was_given "$name" && option_error "--$name: not beside --audio_dir, whose lists are made here"
    done
    wav_scp='' utt2spk=''
fi
[ -n "$audio_dir$segments" ] || [ ! -f "$recipe/lists/segments" ] || segments=$recipe/lists/segments
[ -n "$audio_dir$reco2file_and_channel" ] || [ ! -f "$recipe/lists/reco2file_and_channel" ] ||
    reco2file_and_channel=$recipe/lists/reco2file_and_channel
[ -n "$trials" ] || [ ! -f "$recipe/lists/trials" ] || trials=$recipe/lists/trials
[ -n "$enroll_map" ] || [ ! -f "$recipe/lists/enroll.map" ] || enroll_map=$recipe/lists/enroll.map
[ -z "$enroll_map" ] || [ -n "$trials" ] || option_error "--enroll_map: give the trials that name its models, too (--trials FILE)"

all=$data_dir/all
originals=()
names=() # those of the copies, in the same order
for file in "$wav_scp" "$utt2spk" "$segments" "$reco2file_and_channel" "$trials" "$enroll_map"; do
    if [ -n "$file" ] && [ "$(realpath -m "${file%/*}")" = "$(realpath -m "$all")" ] && [[ $file == */* ]]; then
        echo "${0##*/}: $file lies in $all, which is made anew: move your lists to another folder" >&2
        exit 1
    fi
done
rm -rf "$all"
mkdir -p "$all"

# copy_list OPTION FILE NAME: FILE, given with --OPTION, as $all/NAME.
copy_list() {
    if [ ! -f "$2" ]; then
        echo "${0##*/}: no such list: $2; give it with --$1 FILE, or a folder with a folder of recordings for each speaker with" \
            "--audio_dir DIR (docs/own_data.md shows examples)" >&2
        exit 1
    fi
    # Before it is copied, so that the command in the message is for your file.
    python -m svmixer check_text --input "$2"
    cp "$2" "$all/$3"
    originals+=("$2")
    names+=("$3")
}
if [ -n "$audio_dir" ]; then
    python -m svmixer make_data_dir --audio_dir "$audio_dir" --data_dir "$all" --drop_missing "$drop_missing"
else
    copy_list wav_scp "$wav_scp" wav.scp
    copy_list utt2spk "$utt2spk" utt2spk
fi
[ -z "$segments" ] || copy_list segments "$segments" segments
[ -z "$reco2file_and_channel" ] || copy_list reco2file_and_channel "$reco2file_and_channel" reco2file_and_channel
[ -z "$trials" ] || copy_list trials "$trials" trials
[ -z "$enroll_map" ] || copy_list enroll_map "$enroll_map" enroll.map

# on_copies PROGRAM OPTION…: run a program on $all. Its standard error is in `said` and is passed on, but without repairs of the
# copies, which the next run would undo, and with your file's name instead of the copy's. Line numbers may be the repaired copy's.
on_copies() {
    local status=0 i shown
    { said=$(python -m svmixer "$1" --data_dir "$all" "${@:2}" 2>&1 >&3) || status=$?; } 3>&1
    shown=$(printf '%s\n' "$said" | sed 's/; repair with: svmixer fix_data_dir .*//')
    for i in "${!names[@]}"; do
        shown=${shown//"$all/${names[i]}: "/"${originals[i]}: "}
    done
    [ -z "$shown" ] || printf '%s\n' "$shown" >&2
    return "$status"
}
stop() {
    echo "${0##*/}: $all holds copies: correct ${originals[*]:-the files in $audio_dir} and run this again" >&2
    exit 1
}
on_copies fix_data_dir --check_files "$drop_missing" || stop
on_copies validate_data_dir --need_speakers true --check_files true || {
    case $said in *"--check_files true"*)
        echo "${0##*/}: --drop_missing true leaves out recordings whose file is missing" >&2
        ;;
    esac
    stop
}
split=(--seed "$seed" --test_only "$test_only")
[ -z "$valid_speakers" ] || split+=(--valid_speakers "$valid_speakers")
[ -z "$test_speakers" ] || split+=(--test_speakers "$test_speakers")
on_copies partition_data_dir --output_dir "$data_dir" "${split[@]}" || {
    case $said in
        *"; repair with: --valid_speakers "*)
            echo "${0##*/}: options of ${0##*/} go through run.sh as" \
                '--local_data_opts "--valid_speakers N --test_speakers N"' >&2
            ;;
        *"--test_only true"*)
            echo "${0##*/}: to see how well the model of the package does on all of these speakers, without training:" \
                "./run.sh --model pocket2 --tag pocket2 --local_data_opts $(with_options --test_only true)" >&2
            ;;
    esac
    exit 1
}
# Sets of an earlier run would share speakers with the test set.
if [ "$test_only" = true ]; then
    sets="test"
    rm -rf "${data_dir:?}/train" "${data_dir:?}/valid"
fi
for name in $sets; do
    python -m svmixer validate_data_dir --data_dir "$data_dir/$name" --need_speakers true
done
