#!/usr/bin/env bash
# Stage 4, train: student and backend learn the speakers while they go on learning from the teacher (OS-KDFT).
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
# Validation set, with trials.
valid_set=valid
# Further sets that augmentation uses, separated by blanks.
aug_sets=
# Teacher: a name (wavlm_tiny), a directory, a torchaudio bundle, or none.
teacher=wavlm_tiny
# true: start from the student of stage 3; false: start anew. Without a teacher there is no stage 3 to start from.
init_distilled=true
# Configuration of the training; auto: the recipe chooses one.
train_config=conf/train_speaker.yaml
# Further options of the training: "--loop.max_epochs 5 …".
train_args=
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
require_bool force init_distilled allow_changes
require_int 0 ngpu seed
require_int 1 num_nodes
[ -z "$max_resubmits" ] || require_int 0 max_resubmits

dir=$expdir/$tag/train
distilled=$expdir/$tag/distill
require_words train_args
split_words "$train_args"
options=("${words[@]}")
augmentation_inputs
require "$dumpdir/$train_set/.done@dump" "$dumpdir/$valid_set/.done@dump" "${aug_markers[@]/%/@dump}"
if [ "$init_distilled" = true ]; then learned=$teacher; else learned=none; fi
choose_config speaker "$train_config" "$dumpdir/$train_set" "$learned"
split_words "$chosen_args"
# Those of the user win.
options=("${words[@]}" "${options[@]}")
spec=(--stage train --input "$dumpdir/$train_set/.done" --input "$dumpdir/$valid_set/.done" --config "$config"
    --option "args=${chosen_args:+$chosen_args }$train_args" --option "seed=$seed"
    --option "teacher=$teacher $(teacher_digest "$teacher")" --option "init_distilled=$init_distilled" "${aug_spec[@]}")
start=(--teacher "$teacher")
if [ "$teacher" = none ]; then
    start=(--teacher "" --frontend_from_teacher false)
elif [ "$init_distilled" = true ]; then
    require "$distilled/.done@distill"
    spec+=(--input "$distilled/.done")
    start+=(--init_student "$distilled/student.safetensors")
fi
own "$expdir/$tag"
if keep_or_continue "$dir" "${spec[@]}"; then
    [ -z "$chosen" ] || echo "$chosen" >"$dir/.chosen"
    log "stage 4: training in $dir (log in $dir/train*.log)"
    run_training "$dir" train \
        python -m svmixer train --config "$config" --output_dir "$dir" "${start[@]}" \
        --data.train "$dumpdir/$train_set" --data.valid "$dumpdir/$valid_set" --augment.dumpdir "$dumpdir" \
        --loop.seed "$seed" "${options[@]}"
    mark_done "$dir/.done" "${spec[@]}" --output "$dir/model/model.safetensors" --output "$dir/model/config.yaml"
fi
log "stage 4: $dir is done"
