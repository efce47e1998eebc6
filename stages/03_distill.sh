#!/usr/bin/env bash
# Stage 3, distill: the student learns to predict the frozen teacher's states.
set -euo pipefail

# Recipe directory.
recipe=.
# Where the dumps are.
dumpdir=dump
# Where results go.
expdir=exp
# Name of the experiment.
tag=default
# Training set.
train_set=train
# Validation set.
valid_set=valid
# Teacher: a name (wavlm_tiny), a directory, a torchaudio bundle, or none.
teacher=wavlm_tiny
# Configuration of the distillation.
distill_config=conf/train_distill.yaml
# Further options of the distillation: "--loop.max_epochs 5 …".
distill_args=
# Seed of weights, order, crops and augmentation.
seed=0
# GPUs; 0 trains on the CPU.
ngpu=0
# true: do it again; the earlier result is set aside.
force=false

. "$(dirname "$0")/../tools/parse_options.sh"
. "$(dirname "$0")/lib.sh"
require_bool force
require_int 0 ngpu seed

if [ "$teacher" = none ]; then
    log "stage 3: no teacher, nothing to distil"
    exit 0
fi
dir=$expdir/$tag/distill
config=$(resolve "$distill_config")
read -ra options <<<"$distill_args"
require "$dumpdir/$train_set/.done@dump" "$dumpdir/$valid_set/.done@dump"
spec=(--stage distill --input "$dumpdir/$train_set/.done" --input "$dumpdir/$valid_set/.done" --config "$config"
    --option "args=$distill_args" --option "seed=$seed" --option "teacher=$teacher $(teacher_digest "$teacher")")
own "$expdir/$tag"
if keep_or_continue "$dir" "${spec[@]}"; then
    log "stage 3: $teacher → $dir (log in $dir/distill.log)"
    # shellcheck disable=SC2154  # from cmd.sh
    dispatch_watched "$train_cmd --gpu $ngpu" "$dir/distill.log" \
        python -m svmixer.bin.distill --config "$config" --output_dir "$dir" --teacher "$teacher" \
        --data.train "$dumpdir/$train_set" --data.valid "$dumpdir/$valid_set" \
        --loop.seed "$seed" --device.ngpu "$ngpu" "${options[@]}"
    mark_done "$dir/.done" "${spec[@]}" --output "$dir/student.safetensors"
fi
log "stage 3: $dir is done"
