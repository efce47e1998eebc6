#!/usr/bin/env bash
# Before the training: what there is to train with, what the baseline's scores say about it, and how long it would take here. run.sh
# calls this when it has scored the baseline, and no longer once a training has begun.
set -euo pipefail

option_names="recipe ngpu num_nodes dumpdir expdir tag train_set valid_set test_sets aug_sets baseline"
option_names+=" teacher distill_config distill_args train_config train_args init_distilled seed force"
. "$(dirname "$0")/options.sh"
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/training.sh"

dir=$expdir/$tag
for training in distill train; do
    if [ -f "$dir/$training/.inputs" ] && [ "$force" = false ]; then exit 0; fi
done
distill_options='' learned=none
if [ "$teacher" != none ]; then
    plan_training distill distill "$distill_config" "$distill_args" "$teacher"
    distill_options=$(quoted --config "$config" --teacher "$teacher" "${options[@]}")
    if [ "$init_distilled" = true ]; then learned=$teacher; fi
fi
plan_training train speaker "$train_config" "$train_args" "$learned"
start=(--teacher "$teacher")
if [ "$teacher" = none ]; then start=(--teacher "" --frontend_from_teacher false); fi
train_options=$(quoted --config "$config" "${start[@]}" "${options[@]}")

tests=()
for set in $test_sets; do tests+=("$dumpdir/$set"); done
python -m svmixer advice --train_dir "$dumpdir/$train_set" --valid_dir "$dumpdir/$valid_set" --test_dirs "$(quoted "${tests[@]}")" \
    --scores_dir "$dir/baseline/score"
if [ "$ngpu" -gt 0 ] || [ "$num_nodes" -gt 1 ] || [ "$cmd_backend" != local ]; then
    log "no expected time: it is estimated for trainings on the processors of this machine alone"
    exit 0
fi
run_child env "${keep_memory[@]}" python -m svmixer expected_time --distill "$distill_options" --train "$train_options"
