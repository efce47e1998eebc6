#!/usr/bin/env bash
# Stage 6, report: RESULTS.md, report.html and plots of everything in the experiment, with conf/notes.md of the recipe.
set -euo pipefail

option_names="recipe expdir tag report_audio force"
. "$(dirname "$0")/options.sh"
. "$(dirname "$0")/lib.sh"

dir=$expdir/$tag
[ -d "$dir/score" ] || die "$dir/score is missing; it is made by stage 5 (score): run with --stage 5"
own "$dir"
spec=(--stage report --list "$dir/run.json" --option "audio=$report_audio" --output "$dir/RESULTS.md"
    --output "$dir/report.html")
shopt -s nullglob
metrics=("$dir"/score/*/metrics.json "$dir"/baseline/score/*/metrics.json "$dir"/control*/*/metrics.json)
for file in "${metrics[@]}"; do spec+=(--input "$file"); done
[ ${#metrics[@]} -gt 0 ] || die "$dir/score is missing; it is made by stage 5 (score): run with --stage 5"
notes=()
if [ -f "$recipe/conf/notes.md" ]; then
    notes=(--notes "$recipe/conf/notes.md")
    spec+=(--option "notes=$(digest "$recipe/conf/notes.md")")
fi
for marker in "$dir"/score/*/.done; do
    require "$marker@score"
done
if is_done "$dir/report.done" "${spec[@]}"; then
    log "stage 6: $dir/RESULTS.md is done"
else
    python -m svmixer report "$dir" --audio "$report_audio" "${notes[@]}"
    mark_done "$dir/report.done" "${spec[@]}"
fi
log "stage 6: results in $dir/RESULTS.md and $dir/report.html"
