#!/usr/bin/env bash
# Stage 5, score: embeddings of the test sets in parallel jobs, cosine scores of the trials, EER and minDCF.
set -euo pipefail

# Recipe directory.
recipe=.
# Where the dumps are.
dumpdir=dump
# Where results go.
expdir=exp
# Name of the experiment.
tag=default
# Model directory, or name of a model of the package, to evaluate; empty takes the one that stage 4 trained.
model=
# Training set, whose mean or whitening the controls use.
train_set=train
# Test sets, separated by blanks.
test_sets="test"
# Configuration of the scoring: protocol and crops.
score_config=conf/score.yaml
# Upper band edges in Hz at which every test set is scored once more, separated by blanks.
lowpass=
# true: also score the controls without a model: statistics of log-mel bands, plain and whitened.
control=false
# Parallel jobs.
nj=2
# With 1 or more each job embeds on a GPU of its own, as many at a time as there are; 0 embeds on the CPU.
ngpu=0
# true: do finished work again.
force=false

. "$(dirname "$0")/../tools/parse_options.sh"
. "$(dirname "$0")/lib.sh"
require_bool control force
require_int 1 nj
require_int 0 ngpu

config=$(resolve "$score_config")

# score_set MODEL SET BAND OUTPUT INPUT…: band 0 is the plain signal; the inputs are markers that the model depends on.
score_set() {
    local model=$1 data=$dumpdir/$2 band=$3 out=$4 spec input
    shift 4
    local extra=()
    [[ $model != control && $model != control_whitened ]] || extra=(--train_dir "$dumpdir/$train_set")
    spec=(--stage score --input "$data/.done" --config "$config" --option "lowpass=$band")
    for input in "$@"; do spec+=(--input "$input"); done
    if is_done "$out/.done" "${spec[@]}" --output "$out/scores" --output "$out/metrics.json"; then
        log "stage 5: $out is done"
        return 0
    fi
    log "stage 5: $out ($nj jobs, logs in $out/log)"
    rm -f "$out/.done"
    resume_by "$data/.done" "$config" "$@"
    # shellcheck disable=SC2154,SC2086  # from cmd.sh; a command with its options
    run_child $decode_cmd --gpu "$((ngpu > 0))" "${resume_options[@]}" JOB=1:"$nj" "$out/log/extract.JOB.log" \
        python -m svmixer.bin.extract --config "$config" --model "$model" --data_dir "$data" --output_dir "$out" \
        --num_jobs "$nj" --job JOB --lowpass_hz "$band" --ngpu "$ngpu" --force "$force" "${extra[@]}"
    finish_tasks "$out/log"
    python -m svmixer.bin.score --data_dir "$data" --embeddings_dir "$out" --output_dir "$out" --num_jobs "$nj"
    mark_done "$out/.done" "${spec[@]}" --output "$out/scores" --output "$out/metrics.json"
}

markers=()
if [ "$control" = true ]; then markers+=("$dumpdir/$train_set/.done@dump"); fi
for set in $test_sets; do markers+=("$dumpdir/$set/.done@dump"); done
if [ -n "$model" ]; then
    [ ! -e "$expdir/$tag/train" ] || die "$expdir/$tag holds a training of its own; take another --tag to evaluate $model"
    model=$(model_dir "$model")
    inputs=("$model/model.safetensors" "$model/config.yaml")
else
    model=$expdir/$tag/train/model
    inputs=("$expdir/$tag/train/.done")
    markers+=("${inputs[0]}@train")
fi
require "${markers[@]}"
own "$expdir/$tag"
for set in $test_sets; do
    for band in 0 $lowpass; do
        condition=$set
        [ "$band" = 0 ] || condition=${set}_lp$band
        score_set "$model" "$set" "$band" "$expdir/$tag/score/$condition" "${inputs[@]}"
        [ "$control" = true ] || continue
        for system in control control_whitened; do
            score_set "$system" "$set" "$band" "$expdir/$tag/$system/$condition" "$dumpdir/$train_set/.done"
        done
    done
done
log "stage 5: done"
