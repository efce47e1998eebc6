#!/usr/bin/env bash
# Stage 6, report: RESULTS.md, report.html and plots of everything in the experiment.
set -euo pipefail

# Recipe directory; notes.md in its conf/ is included.
recipe=.
# Where results are.
expdir=exp
# Name of the experiment.
tag=default
# true: do finished work again.
force=false

. "$(dirname "$0")/../tools/parse_options.sh"
. "$(dirname "$0")/lib.sh"
require_bool force

dir=$expdir/$tag
[ -d "$dir/score" ] || die "$dir/score is missing; it is made by stage 5 (score): run with --stage 5"
own "$dir"
spec=(--stage report --list "$dir/run.json")
shopt -s nullglob
for metrics in "$dir"/score/*/metrics.json "$dir"/control*/*/metrics.json; do
    spec+=(--input "$metrics")
done
[ ${#spec[@]} -gt 4 ] || die "$dir/score is missing; it is made by stage 5 (score): run with --stage 5"
notes=()
if [ -f "$recipe/conf/notes.md" ]; then
    notes=(--notes "$recipe/conf/notes.md")
    spec+=(--option "notes=$(digest "$recipe/conf/notes.md")")
fi
for marker in "$dir"/score/*/.done; do
    require "$marker@score"
done
if is_done "$dir/report.done" "${spec[@]}" --output "$dir/RESULTS.md"; then
    log "stage 6: $dir/RESULTS.md is done"
else
    rm -f "$dir/report.done"
    python -m svmixer report --exp_dir "$dir" "${notes[@]}"
    mark_done "$dir/report.done" "${spec[@]}" --output "$dir/RESULTS.md"
fi
log "stage 6: results in $dir/RESULTS.md and $dir/report.html"
