#!/usr/bin/env bash
# Stage 1, data: the recipe's local/data.sh makes data/<set>, and every list is validated.
set -euo pipefail

# Recipe directory, with local/data.sh and conf/.
recipe=.
# Where the lists go.
datadir=data
# Training set.
train_set=train
# Validation set.
valid_set=valid
# Test sets, separated by blanks.
test_sets="test"
# Further sets for augmentation, without speakers.
aug_sets=
# Options for the recipe's local/data.sh.
local_data_opts=
# Parallel jobs.
nj=2
# true: do finished work again.
force=false

. "$(dirname "$0")/../tools/parse_options.sh"
. "$(dirname "$0")/lib.sh"
require_bool force
require_int 1 nj

script=$recipe/local/data.sh
[ -f "$script" ] || die "$script is missing: it makes $datadir/<set> (see docs/own_data.md)"
own "$datadir"
read -ra sets <<<"$train_set $valid_set $test_sets $aug_sets"
read -ra options <<<"$local_data_opts"

# What the lists are made by: a change in the recipe makes them anew.
mapfile -d '' -t files < <(find "$recipe/local" "$recipe/conf" "$recipe/lists" -type f -not -name '*.yaml' -not -name '*.md' \
    -not -path '*/__pycache__/*' -print0 2>/dev/null | sort -z)
spec=(--stage data --option "local_data_opts=$local_data_opts" --option "sets=${sets[*]}"
    --option "recipe=$(digest "${files[@]}")")
# Lists that were edited by hand are respected; lists that are gone are made again.
for set in "${sets[@]}"; do
    [ -f "$datadir/$set/wav.scp" ] || rm -f "$datadir/.done"
done
if is_done "$datadir/.done" "${spec[@]}"; then
    log "stage 1: $datadir is done"
    exit 0
fi

# A recipe that can make some of its sets alone has an option for it.
if _options_of "$script" | cut -f1 | grep -qx sets; then options=(--sets "${sets[*]}" "${options[@]}"); fi
log "stage 1: $script ${options[*]}"
run_child bash "$script" --data_dir "$datadir" --nj "$nj" "${options[@]}"
for set in "${sets[@]}"; do
    python -m svmixer.bin.validate_data_dir --data_dir "$datadir/$set"
done
mark_done "$datadir/.done" "${spec[@]}"
log "stage 1: done"
