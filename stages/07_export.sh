#!/usr/bin/env bash
# Stage 7, export: the model directory that svmixer.load_model and `svmixer embed` read.
set -euo pipefail

# Recipe directory.
recipe=.
# Where results are.
expdir=exp
# Name of the experiment.
tag=default
# true: do finished work again.
force=false

. "$(dirname "$0")/../tools/parse_options.sh"
. "$(dirname "$0")/lib.sh"
require_bool force

out=$expdir/$tag/export
require "$expdir/$tag/train/.done@train"
own "$expdir/$tag"
spec=(--stage export --input "$expdir/$tag/train/.done")
outputs=(--output "$out/config.yaml" --output "$out/model.safetensors" --output "$out/speakers.txt")
if is_done "$out/.done" "${spec[@]}" "${outputs[@]}"; then
    log "stage 7: $out is done"
    exit 0
fi
python -m svmixer.bin.export --model "$expdir/$tag/train/model" --output_dir "$out"
mark_done "$out/.done" "${spec[@]}" "${outputs[@]}"
log "stage 7: model directory $out; try: svmixer embed --model $out FILE…"
