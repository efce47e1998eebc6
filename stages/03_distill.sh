#!/usr/bin/env bash
# Stage 3, distill: the student learns to predict the frozen teacher's states.
set -euo pipefail

option_names="recipe ngpu num_nodes max_resubmits dumpdir expdir tag train_set valid_set aug_sets"
option_names+=" teacher distill_config distill_args seed allow_changes force"
. "$(dirname "$0")/options.sh"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/training.sh"

if [ "$teacher" = none ]; then
    log "stage 3: no teacher, nothing to distil"
    exit 0
fi
dir=$expdir/$tag/distill
plan_training distill distill "$distill_config" "$distill_args" "$teacher"
own "$expdir/$tag"
if keep_or_continue "$dir" "${spec[@]}"; then
    [ -z "$chosen" ] || echo "$chosen" >"$dir/.chosen"
    log "stage 3: $teacher → $dir (log in $dir/distill*.log)"
    run_training "$dir" distill \
        python -m svmixer distill --config "$config" --output_dir "$dir" --teacher "$teacher" "${options[@]}"
    mark_done "$dir/.done" "${spec[@]}" --output "$dir/student.safetensors"
fi
log "stage 3: $dir is done"
