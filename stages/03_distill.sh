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
# Further sets that augmentation uses, separated by blanks.
aug_sets=
# Teacher: a name (wavlm_tiny), a directory, a torchaudio bundle, or none.
teacher=wavlm_tiny
# Configuration of the distillation; auto: the recipe chooses one; auto:FILE: FILE, and the recipe says for how long.
distill_config=conf/train_distill.yaml
# Further options of the distillation: "--loop.max_epochs 5 …".
distill_args=
# Seed of weights, order, crops and augmentation.
seed=0
# GPUs of each node; 0 trains on the CPU.
ngpu=0
# Nodes; each has a task of its own at the dispatcher, with that many GPUs.
num_nodes=1
# How often a job that was stopped by a signal (time limit, pre-emption) is submitted again; empty: 20 on clusters, else 0.
max_resubmits=
# true: continue an unfinished or finished training although inputs or options have changed.
allow_changes=false
# true: do it again; the earlier result is set aside.
force=false

. "$(dirname "$0")/../tools/parse_options.sh"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/training.sh"
require_bool force allow_changes
require_int 0 ngpu seed
require_int 1 num_nodes
[ -z "$max_resubmits" ] || require_int 0 max_resubmits

if [ "$teacher" = none ]; then
    log "stage 3: no teacher, nothing to distil"
    exit 0
fi
dir=$expdir/$tag/distill
require_words distill_args
split_words "$distill_args"
options=("${words[@]}")
augmentation_inputs
require "$dumpdir/$train_set/.done@dump" "$dumpdir/$valid_set/.done@dump" "${aug_markers[@]/%/@dump}"
choose_config distill "$distill_config" "$dumpdir/$train_set" "$teacher"
split_words "$chosen_args"
# Those of the user win.
options=("${words[@]}" "${options[@]}")
spec=(--stage distill --input "$dumpdir/$train_set/.done" --input "$dumpdir/$valid_set/.done" --config "$config"
    --option "args=${chosen_args:+$chosen_args }$distill_args" --option "seed=$seed"
    --option "teacher=$teacher $(teacher_digest "$teacher")" "${aug_spec[@]}")
own "$expdir/$tag"
if keep_or_continue "$dir" "${spec[@]}"; then
    [ -z "$chosen" ] || echo "$chosen" >"$dir/.chosen"
    log "stage 3: $teacher → $dir (log in $dir/distill*.log)"
    run_training "$dir" distill \
        python -m svmixer distill --config "$config" --output_dir "$dir" --teacher "$teacher" \
        --data.train "$dumpdir/$train_set" --data.valid "$dumpdir/$valid_set" --augment.dumpdir "$dumpdir" \
        --loop.seed "$seed" "${options[@]}"
    mark_done "$dir/.done" "${spec[@]}" --output "$dir/student.safetensors"
fi
log "stage 3: $dir is done"
