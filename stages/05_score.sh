#!/usr/bin/env bash
# Stage 5, score: embeddings of the test sets in parallel jobs, cosine scores of the trials, EER and minDCF.
set -euo pipefail

option_names="recipe dumpdir expdir tag model train_set test_sets score_config lowpass channels durations score_norm scoring control nj ngpu force"
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

# make_cohort MODEL BAND PAIR OUTPUT INPUT…: embeddings of training speech, for score normalisation, means and PLDA.
make_cohort() {
    local model=$1 band=$2 pair=$3 out=$4 spec input
    shift 4
    spec=(--stage score --input "$dumpdir/$train_set/.done" --config "$config" --option "lowpass=$band"
        --output "$out/cohort.scp")
    [ -z "$pair" ] || spec+=(--option "channels=$pair")
    for input in "$@"; do spec+=(--input "$input"); done
    if is_done "$out/.done" "${spec[@]}"; then
        log "stage 5: $out is done"
        return 0
    fi
    log "stage 5: $out ($nj jobs, logs in $out/log)"
    embed_set "$model" "$train_set" "$out" "$(printf '%s\n' "$@")" --lowpass_hz "$band" --channels "$pair" \
        --as_cohort true
    python -m svmixer cohort --config "$config" --embeddings_dir "$out" --data_dir "$dumpdir/$train_set" --num_jobs "$nj"
    mark_done "$out/.done" "${spec[@]}"
}

# score_set MODEL SET BAND SECONDS PAIR OUTPUT INPUT…: band 0 is the plain signal, 0 seconds all of it, an empty pair no channels;
# the inputs are markers that the model depends on.
score_set() {
    local model=$1 data=$dumpdir/$2 set=$2 band=$3 seconds=$4 pair=$5 out=$6 logs=$6/log spec input side
    shift 6
    [ -z "$pair" ] || logs="$out/enrol/log and $out/test/log"
    spec=(--stage score --input "$data/.done" --config "$config" --option "lowpass=$band"
        --output "$out/scores" --output "$out/metrics.json")
    # Only if it is not 0, so that results of earlier versions stay done.
    [ "$seconds" = 0 ] || spec+=(--option "seconds=$seconds")
    [ -z "$pair" ] || spec+=(--option "channels=$pair")
    for input in "$@"; do spec+=(--input "$input"); done
    if is_done "$out/.done" "${spec[@]}"; then
        log "stage 5: $out is done"
        return 0
    fi
    log "stage 5: $out ($nj jobs, logs in $logs)"
    if [ -z "$pair" ]; then
        embed_set "$model" "$set" "$out" "$(printf '%s\n' "$@")" --lowpass_hz "$band" --max_seconds "$seconds"
        python -m svmixer score --data_dir "$data" --embeddings_dir "$out" --output_dir "$out" --num_jobs "$nj"
    else
        for side in enrol test; do
            embed_set "$model" "$set" "$out/$side" "$(printf '%s\n' "$@")" --channels "$pair" --side "$side"
        done
        python -m svmixer score --data_dir "$data" --embeddings_dir "$out/enrol" --test_embeddings_dir "$out/test" \
            --output_dir "$out" --num_jobs "$nj"
    fi
    mark_done "$out/.done" "${spec[@]}"
}

# score_again SET RAW COHORT PAIR WAY NORM OUTPUT: the trials of RAW once more, in another way or normalised, with COHORT.
score_again() {
    local data=$dumpdir/$1 raw=$2 cohort=$3 pair=$4 way=$5 norm=$6 out=$7 spec embeddings
    embeddings=(--embeddings_dir "$raw")
    [ -z "$pair" ] || embeddings=(--embeddings_dir "$raw/enrol" --test_embeddings_dir "$raw/test")
    spec=(--stage score --input "$raw/.done" --input "$cohort/.done" --config "$config"
        --output "$out/scores" --output "$out/metrics.json")
    # Only what earlier versions did not have, so that their results stay done.
    [ "$way" = cosine ] || spec+=(--option "scoring=$way")
    [ "$norm" = asnorm ] || spec+=(--option "norm=$norm")
    if is_done "$out/.done" "${spec[@]}"; then
        log "stage 5: $out is done"
        return 0
    fi
    log "stage 5: $out"
    python -m svmixer score --config "$config" --data_dir "$data" "${embeddings[@]}" --output_dir "$out" --num_jobs 0 \
        --cohort_dir "$cohort" --train_dir "$dumpdir/$train_set" --scoring "$way" --score_norm "$norm"
    mark_done "$out/.done" "${spec[@]}"
}

# score_condition SYSTEM MODEL SET BAND SECONDS PAIR INPUT…: raw cosines in <system>/<condition>, other scores beside them.
score_condition() {
    local system=$1 model=$2 set=$3 band=$4 seconds=$5 pair=$6 condition=$3 cohort=$expdir/$tag/cohort/$1 way out
    shift 6
    if [ "$band" != 0 ]; then condition+=_lp$band cohort+=_lp$band; fi
    [ "$seconds" = 0 ] || condition+=_d$seconds
    if [ -n "$pair" ]; then condition+=_${pair/:/-} cohort+=_${pair/:/-}; fi
    local raw=$expdir/$tag/$system/$condition
    score_set "$model" "$set" "$band" "$seconds" "$pair" "$raw" "$@"
    if [ "$score_norm" = none ] && [ -z "$scoring" ]; then return 0; fi
    make_cohort "$model" "$band" "$pair" "$cohort" "$@"
    for way in cosine $scoring; do
        out=$raw
        if [ "$way" != cosine ]; then
            out+=_${way/:/}
            score_again "$set" "$raw" "$cohort" "$pair" "$way" none "$out"
        fi
        [ "$score_norm" = none ] || score_again "$set" "$raw" "$cohort" "$pair" "$way" "$score_norm" "${out}_$score_norm"
    done
}

markers=()
if [ "$control" = true ] || [ "$score_norm" != none ] || [ -n "$scoring" ]; then markers+=("$dumpdir/$train_set/.done@dump"); fi
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
# score_systems SET BAND SECONDS PAIR: the model and, if asked for, the controls.
score_systems() {
    local system
    score_condition score "$model" "$@" "${inputs[@]}"
    [ "$control" = true ] || return 0
    for system in control control_whitened; do
        score_condition "$system" "$system" "$@" "$dumpdir/$train_set/.done"
    done
}

# One thing is changed at a time.
for set in $test_sets; do
    score_systems "$set" 0 0 ""
    for seconds in $durations; do score_systems "$set" 0 "$seconds" ""; done
    for band in $lowpass; do score_systems "$set" "$band" 0 ""; done
    for pair in $channels; do score_systems "$set" 0 0 "$pair"; done
done
log "stage 5: done"
