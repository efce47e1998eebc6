#!/usr/bin/env bash
# What the teacher gives: the default recipe's student with and without wavlm_tiny, several seeds each, on one page.
# Runs in the current directory, on the data of the default recipe; finished runs are kept, so it can be stopped and resumed.
set -euo pipefail

# Seeds, separated by blanks.
seeds="0 1 2"
# Where results go.
expdir=exp
# The page to write.
output=docs/default_run.md
# Parallel jobs.
nj=2
# GPUs; 0 trains on the CPU.
ngpu=0

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$recipe/../../../tools/parse_options.sh"
. "$recipe/../../../tools/run_child.sh"

with=() without=() control=true
for seed in $seeds; do
    for teacher in wavlm_tiny none; do
        tag=compare_${teacher}_seed$seed
        run_child "$recipe/run.sh" --tag "$tag" --expdir "$expdir" --teacher "$teacher" --seed "$seed" --nj "$nj" \
            --ngpu "$ngpu" --stop_stage score --control "$control"
        # The controls are the same beside every run.
        control=false
        if [ "$teacher" = none ]; then without+=("$expdir/$tag"); else with+=("$expdir/$tag"); fi
    done
done

. "$recipe/../../../path.sh"
join() { local IFS=,; echo "$*"; }
python -m svmixer compare --output "$output" --title "The default run, with and without its teacher" \
    --notes <(cat "$recipe/conf/notes.md" "$recipe/conf/history.md") \
    --runs "{with teacher: [$(join "${with[@]}")], without teacher: [$(join "${without[@]}")]}"
echo "written: $output"
