#!/usr/bin/env bash
# The runs of a recipe's tables (conf/tables.yaml), one after another, and the page of what has finished. Finished runs are kept:
# stop it and start it again at will. Works in the current directory; a recipe's own script passes --recipe.
set -euo pipefail
trap 'exit 2' TERM INT HUP

# Recipe directory.
recipe=
# Description of the tables, looked up in the recipe.
tables=conf/tables.yaml
# Tables to run, by their keys, separated by blanks; empty runs all.
only=
# Seeds, separated by blanks, for rows that name none of their own.
seeds=0
# Where results go.
expdir=exp
# The page to write.
output=tables.md
# Configurations of stages 3 and 4; empty takes the recipe's.
distill_config=
train_config=
# Test sets, separated by blanks; empty takes the recipe's.
test_sets=
# true: print every command and run none.
dry_run=false
# Parallel jobs.
nj=2
# GPUs; 0 trains on the CPU.
ngpu=0

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
command_line=("$@")
. "$root/tools/parse_options.sh"
. "$root/tools/run_child.sh"
require_bool dry_run
require_int 1 nj
require_int 0 ngpu
[ -n "$recipe" ] || { echo "run_tables.sh: --recipe is missing" >&2; exit 1; }
run_child "$root/tools/setup.sh"
. "$root/path.sh"

options=(--tables "$recipe/$tables" --only "[${only// /, }]" --seeds "[${seeds// /, }]")
listed=$(python -m svmixer tables "${options[@]}" --action list)
failed=()
while IFS=$'\x1f' read -r -u 3 tag seed teacher distill_args train_args; do
    command=("$recipe/run.sh" --tag "$tag" --seed "$seed" --expdir "$expdir" --nj "$nj" --ngpu "$ngpu" --stop_stage score
        --control false --lowpass "")
    [ -z "$distill_config" ] || command+=(--distill_config "$distill_config")
    [ -z "$train_config" ] || command+=(--train_config "$train_config")
    [ -z "$teacher" ] || command+=(--teacher "$teacher")
    [ -z "$distill_args" ] || command+=(--distill_args "$distill_args")
    [ -z "$train_args" ] || command+=(--train_args "$train_args")
    [ -z "$test_sets" ] || command+=(--test_sets "$test_sets")
    if [ "$dry_run" = true ]; then
        printf '%q ' "${command[@]}"
        echo
        continue
    fi
    run_child "${command[@]}" || failed+=("$tag")
    [ "$told_to_stop" = false ] || exit 2
done 3<<<"$listed"
[ "$dry_run" = false ] || exit 0
python -m svmixer tables "${options[@]}" --action page --expdir "$expdir" --output "$output" \
    --command "$(recorded_command "$root" tools/run_tables.sh "${command_line[@]}")"
[ ${#failed[@]} -eq 0 ] || { echo "run_tables.sh: failed: ${failed[*]}" >&2; exit 1; }
