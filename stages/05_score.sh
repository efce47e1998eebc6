#!/usr/bin/env bash
# Stage 5, score: embeddings of the test sets in parallel jobs, cosine scores of the trials, EER and minDCF.
set -euo pipefail

option_names="recipe dumpdir expdir tag model train_set test_sets score_config lowpass durations score_norm control nj ngpu force"
. "$(dirname "$0")/options.sh"
. "$(dirname "$0")/lib.sh"

config=$(resolve "$score_config")

# embed_set MODEL SET OUTPUT INPUTS OPTION…: embeddings of a set; INPUTS are the files they depend on, one a line.
embed_set() {
    local model=$1 data=$dumpdir/$2 out=$3 inputs
    mapfile -t inputs <<<"$4"
    shift 4
    [[ $model != control && $model != control_whitened ]] || set -- "$@" --train_dir "$dumpdir/$train_set"
    resume_by "$data/.done" "$config" "${inputs[@]}"
    # shellcheck disable=SC2154  # from cmd.sh
    run_tasks "$decode_cmd --gpu $((ngpu > 0)) ${resume_options[*]}" "$nj" "$out/log/extract" \
        python -m svmixer extract --config "$config" --model "$model" --data_dir "$data" --output_dir "$out" \
        --num_jobs "$nj" --ngpu "$ngpu" --force "$force" "$@"
    finish_tasks "$out/log"
}

# make_cohort MODEL BAND OUTPUT INPUT…: the cohort of AS-norm.
make_cohort() {
    local model=$1 band=$2 out=$3 spec input
    shift 3
    spec=(--stage score --input "$dumpdir/$train_set/.done" --config "$config" --option "lowpass=$band"
        --output "$out/cohort.scp")
    for input in "$@"; do spec+=(--input "$input"); done
    if is_done "$out/.done" "${spec[@]}"; then
        log "stage 5: $out is done"
        return 0
    fi
    log "stage 5: $out ($nj jobs, logs in $out/log)"
    embed_set "$model" "$train_set" "$out" "$(printf '%s\n' "$@")" --lowpass_hz "$band" --as_cohort true
    python -m svmixer cohort --config "$config" --embeddings_dir "$out" --data_dir "$dumpdir/$train_set" --num_jobs "$nj"
    mark_done "$out/.done" "${spec[@]}"
}

# score_set MODEL SET BAND SECONDS OUTPUT INPUT…: band 0 is the plain signal, 0 seconds all of it; the inputs are markers that
# the model depends on.
score_set() {
    local model=$1 data=$dumpdir/$2 set=$2 band=$3 seconds=$4 out=$5 spec input
    shift 5
    spec=(--stage score --input "$data/.done" --config "$config" --option "lowpass=$band"
        --output "$out/scores" --output "$out/metrics.json")
    # Only if it is not 0, so that results of earlier versions stay done.
    [ "$seconds" = 0 ] || spec+=(--option "seconds=$seconds")
    for input in "$@"; do spec+=(--input "$input"); done
    if is_done "$out/.done" "${spec[@]}"; then
        log "stage 5: $out is done"
        return 0
    fi
    log "stage 5: $out ($nj jobs, logs in $out/log)"
    embed_set "$model" "$set" "$out" "$(printf '%s\n' "$@")" --lowpass_hz "$band" --max_seconds "$seconds"
    python -m svmixer score --data_dir "$data" --embeddings_dir "$out" --output_dir "$out" --num_jobs "$nj"
    mark_done "$out/.done" "${spec[@]}"
}

# normalise_set SET RAW COHORT OUTPUT: the trials of RAW once more, normalised with COHORT.
normalise_set() {
    local data=$dumpdir/$1 raw=$2 cohort=$3 out=$4 spec
    spec=(--stage score --input "$raw/.done" --input "$cohort/.done" --config "$config"
        --output "$out/scores" --output "$out/metrics.json")
    if is_done "$out/.done" "${spec[@]}"; then
        log "stage 5: $out is done"
        return 0
    fi
    python -m svmixer score --config "$config" --data_dir "$data" --embeddings_dir "$raw" --output_dir "$out" \
        --num_jobs 0 --cohort_dir "$cohort"
    mark_done "$out/.done" "${spec[@]}"
}

# score_condition SYSTEM MODEL SET BAND SECONDS INPUT…: raw scores in <system>/<condition>, normalised ones beside them.
score_condition() {
    local system=$1 model=$2 set=$3 band=$4 seconds=$5 condition=$3 cohort=$expdir/$tag/cohort/$1
    shift 5
    if [ "$band" != 0 ]; then condition+=_lp$band cohort+=_lp$band; fi
    [ "$seconds" = 0 ] || condition+=_d$seconds
    local out=$expdir/$tag/$system/$condition
    score_set "$model" "$set" "$band" "$seconds" "$out" "$@"
    [ "$score_norm" = asnorm ] || return 0
    make_cohort "$model" "$band" "$cohort" "$@"
    normalise_set "$set" "$out" "$cohort" "${out}_asnorm"
}

markers=()
if [ "$control" = true ] || [ "$score_norm" = asnorm ]; then markers+=("$dumpdir/$train_set/.done@dump"); fi
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
        for seconds in 0 $durations; do
            # One thing is changed at a time.
            [ "$band" = 0 ] || [ "$seconds" = 0 ] || continue
            score_condition score "$model" "$set" "$band" "$seconds" "${inputs[@]}"
            [ "$control" = true ] || continue
            for system in control control_whitened; do
                score_condition "$system" "$system" "$set" "$band" "$seconds" "$dumpdir/$train_set/.done"
            done
        done
    done
done
log "stage 5: done"
