#!/usr/bin/env bash
# SV-Mixer, from audio to an equal error rate: numbered stages that can be run, stopped and resumed one by one.
#
#   1 data      the recipe's local/data.sh makes data/<set>          (Kaldi lists)
#   2 dump      16 kHz mono PCM in sharded arks in dump/<set>
#   3 distill   the student learns from the frozen teacher           exp/<tag>/distill
#   4 train     speaker training with distillation                   exp/<tag>/train
#   5 score     embeddings, trial scores, EER and minDCF             exp/<tag>/score/<set>
#   6 report    RESULTS.md, report.html, plots                       exp/<tag>
#   7 export    the model directory, ONNX float32 and int8, a card   exp/<tag>/export
#
# ./run.sh runs the default recipe (egs/debian_voices/sv1) in the current directory; egs/<corpus>/sv1/run.sh runs that one.
# Finished work is never done twice. --stage 3 --stop_stage 5 and --stage distill --stop_stage score are the same.
# shellcheck disable=SC2034  # options are read by name
set -euo pipefail
trap 'exit 2' TERM INT HUP

# First stage to run, by number or name.
stage=1
# Last stage to run, by number or name.
stop_stage=7
# Stages to leave out, by number or name, separated by blanks.
skip_stages=
# Recipe directory, with local/data.sh and conf/; its run.sh passes it.
recipe=
# end: options before this one are the recipe's own, those behind it were given by whoever runs it.
recipe_defaults=
# Parallel jobs of stages 1, 2, 5 and 7.
nj=2
# GPUs for stages 3 to 5, of each node; 0 uses the CPU.
ngpu=0
# Nodes that stages 3 and 4 train on.
num_nodes=1
# How often the job of stage 3 or 4 is submitted again after a signal stopped it (time limit, pre-emption); empty: 20 on
# clusters, else 0.
max_resubmits=
# Where the Kaldi lists go.
datadir=data
# Where the dumped audio goes.
dumpdir=dump
# Where results go.
expdir=exp
# Name of the experiment: results are in <expdir>/<tag>.
tag=default
# Training set.
train_set=train
# Validation set, with trials.
valid_set=valid
# Test sets, separated by blanks.
test_sets="test"
# Further sets that augmentation uses, without speakers.
aug_sets=
# Options for the recipe's local/data.sh.
local_data_opts=
# raw: write 16 kHz arks; raw_copy: point at the originals, if they are 16 kHz mono PCM already.
feats_type=raw
# true: cut silence off both ends of every utterance in stage 2.
trim=false
# Largest share of a set that stage 2 may drop.
max_drop=0.02
# true: commands in wav.scp ("sox … |") are run.
allow_pipes=true
# Teacher: a name (wavlm_tiny), a directory, a torchaudio bundle (WAVLM_LARGE), or none.
teacher=wavlm_tiny
# Model directory to evaluate instead of training one: stages 3, 4 and 7 are left out.
model=
# true: stage 4 starts from the student of stage 3; false: it starts anew.
init_distilled=true
# Configuration of stage 3; auto: the recipe's local/choose_config.sh chooses one by what is in the training set.
distill_config=conf/train_distill.yaml
# Further options of stage 3: "--loop.max_epochs 5 …".
distill_args=
# Configuration of stage 4; auto: likewise. Where only one of the two is auto, it goes with the other.
train_config=conf/train_speaker.yaml
# Further options of stage 4: "--loop.max_epochs 5 …".
train_args=
# Seed of weights, order, crops and augmentation.
seed=0
# Configuration of stage 5: protocol, crops, cohort.
score_config=conf/score.yaml
# Upper band edges in Hz at which every test set is scored once more, separated by blanks.
lowpass=
# Seconds that the utterances of every test set are cut to, each scored once more, separated by blanks.
durations=
# asnorm: scores normalised with a cohort of training speech (AS-norm) as well, beside the raw ones; none: raw scores alone.
score_norm=none
# true: also score the controls without a model: statistics of log-mel bands, plain and whitened.
control=false
# true: stage 7 also writes ONNX graphs, float32 and int8, checks them on speech, and writes a model card.
onnx=true
# Further options of stage 7: "--weights float16".
export_args=
# true: stages 3 and 4 continue trainings although their inputs or options have changed.
allow_changes=false
# true: do finished work of the chosen stages again; earlier trainings are set aside.
force=false

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
started=$(date -u '+%Y-%m-%dT%H:%M:%S+00:00')
command_line=("$@")
for argument in "$@"; do
    case $argument in
        --recipe | --recipe=* | --help | -h) named=true ;;
    esac
done
if [ "${named:-false}" = false ]; then
    exec "$root/egs/debian_voices/sv1/run.sh" "$@"
fi

. "$root/tools/parse_options.sh"
[ $# -eq 0 ] || { echo "run.sh: unexpected argument '$1' (options are --name value; --help lists them)" >&2; exit 1; }
require_bool trim allow_pipes init_distilled control onnx force allow_changes
require_int 1 nj num_nodes
require_int 0 ngpu seed
require_words local_data_opts distill_args train_args export_args
[ -z "$recipe_defaults" ] || [ "$recipe_defaults" = end ] ||
    { echo "run.sh: --recipe_defaults is end or empty, not '$recipe_defaults'" >&2; exit 1; }
# What the user gave, for stages that remember it: every option, where a recipe does not say which are its own.
given=${_given_options##* recipe_defaults}
given=${given:- none}
[ -z "$max_resubmits" ] || require_int 0 max_resubmits

names=(data dump distill train score report export)

# Number of a stage given by number or name.
stage_number() {
    local i
    for i in "${!names[@]}"; do
        if [ "$1" = "${names[i]}" ] || [ "$1" = "$((i + 1))" ]; then
            echo $((i + 1))
            return 0
        fi
    done
    echo "run.sh: there is no stage '$1'; did you mean '$(_nearest "$1" "${names[@]}")'? (1 to ${#names[@]})" >&2
    return 1
}
first=$(stage_number "$stage")
last=$(stage_number "$stop_stage")
skipped=()
for item in $skip_stages; do
    number=$(stage_number "$item")
    skipped[number]=true
done
if [ -n "$model" ]; then
    skipped[3]=true skipped[4]=true skipped[7]=true
    # Only what is evaluated is prepared.
    valid_set='' aug_sets=''
    [ "$control" = true ] || [ "$score_norm" = asnorm ] || train_set=''
fi

# counterpart FILE KIND OTHER: the configuration of training OTHER that goes with FILE, of training KIND.
counterpart() {
    local other=${1/"$2"/"$3"}
    if [ "$other" = "$1" ] || { [ ! -f "$recipe/$other" ] && [ ! -f "$root/$other" ] && [ ! -f "$other" ]; }; then
        other=conf/train_$3.yaml
    fi
    echo "$other"
}
# The student that is distilled must be one that the next training can start from.
if [ "$distill_config" = auto ] && [ "$train_config" != auto ]; then
    # Still the recipe's to say for how long.
    distill_config=auto:$(counterpart "$train_config" speaker distill)
elif [ "$train_config" = auto ] && [ "$distill_config" != auto ]; then
    train_config=$(counterpart "$distill_config" distill speaker)
fi
[ "$first" -le "$last" ] || { echo "run.sh: --stage $stage comes after --stop_stage $stop_stage" >&2; exit 1; }

# Evaluation needs no packages to train with.
. "$root/tools/run_child.sh"
if [ -n "$model" ]; then run_child "$root/tools/setup.sh" --extras ""; else run_child "$root/tools/setup.sh"; fi
. "$root/path.sh"

# Tasks end with this process, however it ends (see tools/run.pl).
export DISPATCH_DRIVER_PID=$$

# The markers as they are: a finished step has a new one. Times are compared for being equal alone, clocks may differ.
markers() { find -L "$expdir/$tag/" -name '*.done' -printf '%i %T@ %P\n' 2>/dev/null | LC_ALL=C sort; }
found=$(markers || true)

# first_done MARKERS: the first stage that this run did in the experiment, by its markers now; 7 if it only reported or exported.
first_done() {
    local new
    new=$(LC_ALL=C comm -13 <(echo "$found") <(echo "$1") | cut -d' ' -f3-)
    if grep -qx 'distill/\.done' <<<"$new"; then
        echo 3
    elif grep -qx 'train/\.done' <<<"$new"; then
        echo 4
    elif grep -qE '^(score|control[^/]*|cohort)/' <<<"$new"; then
        echo 5
    else
        echo 7
    fi
}

commit=$(python -c 'from svmixer.scoring.provenance import code_commit; print(code_commit())')

# The command line, options, commit and start of this run, saved beside the results; those of a run that found everything done
# are not.
record_run() {
    local name record=() now distill_config=$distill_config train_config=$train_config
    now=$(markers)
    if [ -f "$expdir/$tag/run.json" ] && [ "$now" = "$found" ]; then
        return 0
    fi
    # What was chosen, rather than that it was to be chosen.
    [[ $distill_config != auto* || ! -f $expdir/$tag/distill/.chosen ]] || distill_config=$(<"$expdir/$tag/distill/.chosen")
    [[ $train_config != auto* || ! -f $expdir/$tag/train/.chosen ]] || train_config=$(<"$expdir/$tag/train/.chosen")
    distill_config=${distill_config#auto:}
    while IFS=$'\t' read -r name _; do record+=(--option "$name=${!name}"); done < <(_options_of "$root/run.sh")
    python -m svmixer record_run --exp_dir "$expdir/$tag" --first "$(first_done "$now")" \
        --command "$(recorded_command "$root" run.sh "${command_line[@]}")" --commit "$commit" --started "$started" "${record[@]}"
}

for ((number = first; number <= last; number++)); do
    [ "${skipped[number]:-false}" = false ] || continue
    script=$(printf '%s/stages/%02d_%s.sh' "$root" "$number" "${names[number - 1]}")
    # A stage gets those of our options that it declares.
    arguments=()
    while IFS=$'\t' read -r name _; do
        if [[ -v $name ]]; then arguments+=("--$name" "${!name}"); fi
    done < <(_options_of "$script")
    if [ "$number" -eq 6 ] && [ -d "$expdir/$tag" ]; then record_run; fi
    run_child "$script" "${arguments[@]}"
done
if [ "$last" -ge 3 ]; then record_run; fi
