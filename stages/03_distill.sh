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
        python -m svmixer.stages.distill --config "$config" --output_dir "$dir" --teacher "$teacher" \
        --data.train "$dumpdir/$train_set" --data.valid "$dumpdir/$valid_set" --augment.dumpdir "$dumpdir" \
        --loop.seed "$seed" "${options[@]}"
    mark_done "$dir/.done" "${spec[@]}" --output "$dir/student.safetensors"
fi
log "stage 3: $dir is done"
