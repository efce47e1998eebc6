#!/usr/bin/env bash
# Stage 7, export: the model directory that svmixer.load_model and `svmixer embed` read; with ONNX graphs, float32 and int8, that
# need no torch, and a model card.
set -euo pipefail

# Recipe directory; card.md in its conf/ goes into the model card: data, limits, licence.
recipe=.
# Where the dumps are.
dumpdir=dump
# Where results are.
expdir=exp
# Name of the experiment.
tag=default
# Training set, on whose speech int8 is calibrated.
train_set=train
# Test sets, separated by blanks; the graphs are checked on the first. What stage 5 found on it goes into the card.
test_sets="test"
# true: also write ONNX graphs, float32 and int8, check them on speech, and write a model card.
onnx=true
# Further options of the export: "--weights float16".
export_args=
# Processes that quantise and check at the same time.
nj=2
# true: do finished work again.
force=false

. "$(dirname "$0")/../tools/parse_options.sh"
. "$(dirname "$0")/lib.sh"
require_bool onnx force
require_int 1 nj

dir=$expdir/$tag
out=$dir/export
test_set=${test_sets%% *}
test=$dumpdir/$test_set
scores=$dir/score/$test_set
markers=("$dir/train/.done@train")
spec=(--stage export --input "$dir/train/.done")
outputs=(--output "$out/config.yaml" --output "$out/model.safetensors" --output "$out/speakers.txt")
options=()
if [ "$onnx" = true ]; then
    [ -n "$test_set" ] || die "--onnx true checks the graphs on the first of --test_sets, and there is none"
    markers+=("$dumpdir/$train_set/.done@dump" "$test/.done@dump")
    spec+=(--input "$dumpdir/$train_set/.done" --input "$test/.done" --option "onnx=$test_set")
    outputs+=(--output "$out/model.onnx" --output "$out/model.int8.onnx" --output "$out/export.json" --output "$out/README.md")
    options=(--onnx true --calibration "$dumpdir/$train_set" --test "$test" --jobs "$nj" --name "$tag")
    if [ -f "$scores/metrics.json" ]; then
        spec+=(--input "$scores/metrics.json")
        options+=(--scores "$scores")
    fi
    if [ -f "$recipe/conf/card.md" ]; then
        spec+=(--option "card=$(digest "$recipe/conf/card.md")")
        options+=(--card "$recipe/conf/card.md")
    fi
fi
require_words export_args
split_words "$export_args"
[ -z "$export_args" ] || spec+=(--option "args=$export_args")
require "${markers[@]}"
own "$dir"
if is_done "$out/.done" "${spec[@]}" "${outputs[@]}"; then
    log "stage 7: $out is done"
    exit 0
fi
log "stage 7: $out (log in $dir/export.log)"
rm -f "$out/.done"
# shellcheck disable=SC2154  # from cmd.sh
dispatch_watched "$export_cmd --num-threads $nj" "$dir/export.log" \
    python -m svmixer export --model "$dir/train/model" --output_dir "$out" "${options[@]}" "${words[@]}"
mark_done "$out/.done" "${spec[@]}" "${outputs[@]}"
log "stage 7: model directory $out; try: svmixer verify --model $(quoted "$out") FILE FILE"
