#!/usr/bin/env bash
# Pretrains wavlm_tiny, the teacher of the default recipe, on the train speakers of the full voices set. Resumable.
# Everything goes into the current directory: data_full, dump_full, downloads and <expdir>/<tag>.
set -euo pipefail

# Configuration of the pretraining.
config=conf/pretrain_wavlm_tiny.yaml
# Which voices to train on: compact, fillets or full.
voices=full
# Where the Kaldi lists go.
datadir=data_full
# Where the dumped audio goes.
dumpdir=dump_full
# Where results go.
expdir=exp
# Name of the experiment.
tag=wavlm_tiny
# Further options of the pretraining: "--loop.max_epochs 5 …".
pretrain_args=
# Seed of weights, order, crops and masks.
seed=0
# Parallel jobs of the data preparation.
nj=2
# GPUs; 0 trains on the CPU.
ngpu=0
# true: do it again; the earlier result is set aside.
force=false

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$recipe/../../../tools/parse_options.sh"
require_words pretrain_args
. "$recipe/../../../tools/run_child.sh"
run_child "$recipe/run.sh" --stop_stage 2 --aug_sets "" --local_data_opts "$(quoted --voices "$voices" --rirs 0)" \
    --datadir "$datadir" --dumpdir "$dumpdir" --nj "$nj"
. "$recipe/../../../stages/lib.sh"
require_bool force

export DISPATCH_DRIVER_PID=$$
dir=$expdir/$tag
config=$(resolve "$config")
split_words "$pretrain_args"
spec=(--stage train --input "$dumpdir/train/.done" --input "$dumpdir/valid/.done" --config "$config"
    --option "args=$pretrain_args" --option "seed=$seed")
own "$dir"
if keep_or_continue "$dir" "${spec[@]}"; then
    log "pretraining in $dir (log in $dir/pretrain.log)"
    # shellcheck disable=SC2154  # from cmd.sh
    dispatch_watched "$train_cmd --gpu $ngpu" "$dir/pretrain.log" \
        python -m svmixer pretrain --config "$config" --output_dir "$dir" --train "$dumpdir/train" \
        --valid "$dumpdir/valid" --loop.seed "$seed" --device.ngpu "$ngpu" "${words[@]}"
    mark_done "$dir/.done" "${spec[@]}" --output "$dir/teacher/model.safetensors"
fi
log "teacher directory $dir/teacher; accuracy on unseen speakers by epoch in $dir/log.jsonl; use it with --teacher $(quoted "$dir/teacher")"
