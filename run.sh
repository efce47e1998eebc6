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
set -euo pipefail
trap 'exit 2' TERM INT HUP

# First stage to run, by number or name.
stage=1
# Last stage to run, by number or name.
stop_stage=7
# Stages to leave out, by number or name, separated by blanks.
skip_stages=
# end: options before this one are the recipe's own, those behind it were given by whoever runs it.
recipe_defaults=
option_names="all"

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

. "$root/stages/options.sh"
[ -z "$recipe_defaults" ] || [ "$recipe_defaults" = end ] || option_error "--recipe_defaults is end or empty, not '$recipe_defaults'"
# What the user gave, for stages that remember it; all options if the recipe does not say which are its own.
given=${_given_options##* recipe_defaults}
given=${given:- none}

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
    option_error "there is no stage '$1'; did you mean '$(_nearest "$1" "${names[@]}")'? (1 to ${#names[@]})"
}
first=$(stage_number "$stage")
last=$(stage_number "$stop_stage")
skipped=()
for item in $skip_stages; do
    number=$(stage_number "$item")
    skipped[number]=true
done
# shellcheck disable=SC2034  # sets are handed on by name
if [ -n "$model" ]; then
    skipped[3]=true skipped[4]=true skipped[7]=true
    # Only what is evaluated is prepared.
    valid_set='' aug_sets=''
    [ "$control" = true ] || [ "$score_norm" != none ] || [ -n "$scoring" ] || train_set=''
    baseline=''
fi

# counterpart FILE KIND OTHER: the configuration of training OTHER that goes with FILE, which is of training KIND.
counterpart() {
    local other=${1/"$2"/"$3"}
    if [ "$other" = "$1" ] || { [ ! -f "$recipe/$other" ] && [ ! -f "$root/$other" ] && [ ! -f "$other" ]; }; then
        other=conf/train_$3.yaml
    fi
    echo "$other"
}
# The student that is distilled must be one that the next training can start from.
if [ "$distill_config" = auto ] && [ "$train_config" != auto ]; then
    # The recipe still says for how long.
    distill_config=auto:$(counterpart "$train_config" speaker distill)
elif [ "$train_config" = auto ] && [ "$distill_config" != auto ]; then
    train_config=$(counterpart "$distill_config" distill speaker)
fi
[ "$first" -le "$last" ] || option_error "--stage $stage comes after --stop_stage $stop_stage"

# Evaluation needs no packages to train with.
. "$root/tools/run_child.sh"
if [ -n "$model" ]; then run_child "$root/tools/setup.sh" --extras ""; else run_child "$root/tools/setup.sh"; fi
. "$root/path.sh"

[ -z "$lowpass$channels" ] || [ "$last" -lt 5 ] ||
    python -m svmixer check_conditions --lowpass "$lowpass" --channels "$channels"

# Tasks end with this process, however it ends (see tools/run.pl).
export DISPATCH_DRIVER_PID=$$

# The markers now: a finished step has a new one. Times are only compared for equality, because clocks may differ.
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

commit=$(python -c 'from svmixer.scoring.result import code_commit; print(code_commit())')

# The command line, options, their defaults, commit and start of this run, saved beside the results; those of a run that found everything done
# are not.
record_run() {
    local name record=() now distill_config=$distill_config train_config=$train_config
    now=$(markers)
    if [ -f "$expdir/$tag/run.json" ] && [ "$now" = "$found" ]; then
        return 0
    fi
    # The configuration that was chosen, instead of `auto`.
    [[ $distill_config != auto* || ! -f $expdir/$tag/distill/.chosen ]] || distill_config=$(<"$expdir/$tag/distill/.chosen")
    [[ $train_config != auto* || ! -f $expdir/$tag/train/.chosen ]] || train_config=$(<"$expdir/$tag/train/.chosen")
    distill_config=${distill_config#auto:}
    for name in $_known_options; do record+=(--option "$name=${!name}" --default "$name=${_defaults[$name]}"); done
    python -m svmixer record_run --exp_dir "$expdir/$tag" --first "$(first_done "$now")" \
        --command "$(recorded_command "$root" run.sh "${command_line[@]}")" --commit "$commit" --started "$started" "${record[@]}"
}

# run_script SCRIPT OPTION…: a stage with those of our options that it takes; OPTIONs win.
run_script() {
    local name script=$root/stages/$1 arguments=()
    while IFS=$'\t' read -r name _; do
        if [[ -v $name ]]; then arguments+=("--$name" "${!name}"); fi
    done < <(_options_of "$script" "$root/stages/options.sh")
    run_child "$script" "${arguments[@]}" "${@:2}"
}

# The baseline is scored like a model of its own, under the conditions that are asked for.
score_baseline() {
    [ -z "$baseline" ] || run_script 05_score.sh --model "$baseline" --tag "$tag/baseline" --control false --score_norm none
}

# advise: what the baseline's scores say about a training, once.
advised=false
advise() {
    [ -n "$baseline" ] && [ "$advised" = false ] || return 0
    advised=true
    score_baseline
    run_script advice.sh
}

for ((number = first; number <= last; number++)); do
    [ "${skipped[number]:-false}" = false ] || continue
    case $number in
        3 | 4) advise ;;
        5) score_baseline ;;
        6) [ ! -d "$expdir/$tag" ] || record_run ;;
    esac
    run_script "$(printf '%02d_%s.sh' "$number" "${names[number - 1]}")"
done
# Whoever stops before the training wants to decide about it.
[ "$last" -ne 2 ] || advise
if [ "$last" -ge 3 ]; then record_run; fi
