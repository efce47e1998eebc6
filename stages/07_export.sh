#!/usr/bin/env bash
# Stage 7, export: the model directory that svmixer.load_model and `svmixer embed` read; with ONNX graphs, float32 and int8, that
# need no torch, and a model card: conf/card.md of the recipe (data, limits, licence), and what stage 5 found on the first test set.
set -euo pipefail

option_names="recipe dumpdir expdir tag train_set test_sets onnx export_args nj force"
. "$(dirname "$0")/options.sh"
. "$(dirname "$0")/lib.sh"

dir=$expdir/$tag
out=$dir/export
test_set=${test_sets%% *}
test=$dumpdir/$test_set
scores=$dir/score/$test_set
markers=("$dir/train/.done@train")
spec=(--stage export --input "$dir/train/.done"
    --output "$out/config.yaml" --output "$out/model.safetensors" --output "$out/speakers.txt")
options=()
if [ "$onnx" = true ]; then
    [ -n "$test_set" ] || die "--onnx true checks the graphs on the first of --test_sets, and there is none"
    markers+=("$test/.done@dump")
    spec+=(--input "$test/.done" --option "onnx=$test_set"
        --output "$out/model.onnx" --output "$out/model.int8.onnx" --output "$out/export.json" --output "$out/README.md")
    options=(--onnx true --test "$test" --jobs "$nj" --name "$tag")
    if [ -f "$scores/metrics.json" ]; then
        spec+=(--input "$scores/metrics.json")
        options+=(--scores "$scores")
    fi
    if [ -f "$recipe/conf/card.md" ]; then
        spec+=(--option "card=$(digest "$recipe/conf/card.md")")
        options+=(--card "$recipe/conf/card.md")
    fi
fi
split_words "$export_args"
[ -z "$export_args" ] || spec+=(--option "args=$export_args")
require "${markers[@]}"
own "$dir"
if is_done "$out/.done" "${spec[@]}"; then
    log "stage 7: $out is done"
    exit 0
fi
log "stage 7: $out (log in $dir/export.log)"
# shellcheck disable=SC2154  # from cmd.sh
dispatch_watched "$export_cmd --num-threads $nj" "$dir/export.log" \
    python -m svmixer export --model "$dir/train/model" --output_dir "$out" "${options[@]}" "${words[@]}"
mark_done "$out/.done" "${spec[@]}"
log "stage 7: model directory $out; try: svmixer verify --model $(quoted "$out") FILE FILE"
if [ "$onnx" = true ]; then
    log "stage 7: for log-likelihood ratios, and thresholds of known false accepts (10 test speakers or more):" \
        "svmixer calibrate --model $(quoted "$out") --sets $(quoted "[$test]") --cohort $(quoted "$dumpdir/$train_set")"
fi
