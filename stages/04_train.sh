#!/usr/bin/env bash
# Stage 4, train: student and backend learn the speakers while they go on learning from the teacher (OS-KDFT).
set -euo pipefail

option_names="recipe ngpu num_nodes max_resubmits dumpdir expdir tag train_set valid_set aug_sets"
option_names+=" teacher teacher_embeddings init_distilled train_config train_args seed allow_changes force"
. "$(dirname "$0")/options.sh"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/training.sh"

dir=$expdir/$tag/train
distilled=$expdir/$tag/distill
if [ "$init_distilled" = true ]; then learned=$teacher; else learned=none; fi
plan_training train speaker "$train_config" "$train_args" "$learned"
spec+=(--option "init_distilled=$init_distilled")
start=(--teacher "$teacher")
if [ "$teacher" = none ]; then
    start=(--teacher "" --frontend_from_teacher false)
elif [ "$init_distilled" = true ]; then
    require "$distilled/.done@distill"
    spec+=(--input "$distilled/.done")
    start+=(--init_student "$distilled/student.safetensors")
fi
if [ -n "$teacher_embeddings" ]; then
    [ -f "$teacher_embeddings" ] || die "--teacher_embeddings: there is no file $teacher_embeddings"
    spec+=(--input "$teacher_embeddings")
    start+=(--embeddings.scp "$teacher_embeddings")
fi
own "$expdir/$tag"
if keep_or_continue "$dir" "${spec[@]}"; then
    [ -z "$chosen" ] || echo "$chosen" >"$dir/.chosen"
    log "stage 4: training in $dir (log in $dir/train*.log)"
    run_training "$dir" train \
        python -m svmixer train --config "$config" --output_dir "$dir" "${start[@]}" "${options[@]}"
    mark_done "$dir/.done" "${spec[@]}" --output "$dir/model/model.safetensors" --output "$dir/model/config.yaml"
fi
log "stage 4: $dir is done"
