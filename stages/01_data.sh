#!/usr/bin/env bash
# Stage 1, data: the recipe's local/data.sh makes data/<set>, and every list is validated.
set -euo pipefail

option_names="recipe datadir train_set valid_set test_sets aug_sets local_data_opts nj force"
# Options that the user gave, separated by blanks; the others are as when the data was made. Empty: those of this command line.
given=
. "$(dirname "$0")/options.sh"
. "$(dirname "$0")/lib.sh"

# includes "LIST" WORD…: whether all words are in a list that is separated by blanks.
includes() {
    local word list=$1
    shift
    for word in "$@"; do
        [[ " $list " == *" $word "* ]] || return 1
    done
}

script=$recipe/local/data.sh
[ -f "$script" ] || die "$script is missing: it makes $datadir/<set> (see docs/own_data.md)"
own "$datadir"
recall "$datadir" "$datadir/.given" local_data_opts
split_words "$local_data_opts"
options=("${words[@]}")
# The same words in other quotes do not count as a change.
was=$(marker option "$datadir/.done" --option local_data_opts)
if split_words "$was" && [ "$(quoted "${words[@]}")" = "$(quoted "${options[@]}")" ]; then local_data_opts=$was; fi
read -ra sets <<<"$train_set $valid_set $test_sets $aug_sets"
# A run that wants fewer sets than exist makes none again.
made=$(marker option "$datadir/.done" --option sets)
includes "$made" "${sets[@]}" || made=${sets[*]}

# What the lists are made from, links followed: a change in the recipe, or in files that options name, makes them again.
mapfile -d '' -t files < <(cd "$recipe" && find -L local conf lists -type f -not -name '*.yaml' -not -name '*.md' \
    -not -path '*/__pycache__/*' -print0 2>/dev/null | sort -z)
spec=(--stage data --option "local_data_opts=$local_data_opts"
    --option "recipe=$(cd "$recipe" && digest_named "${files[@]}")")
before=''
for word in "${options[@]}"; do
    # As a word, or after `--name=`.
    for file in "$word" "${word#--*=}"; do
        [ ! -f "$file" ] || spec+=(--list "$file")
    done
    # A folder that is taken as it is: by the names in it; what the files hold is stage 2's.
    if [[ $before == --audio[_-]dir || $word == --audio[_-]dir=* ]]; then
        spec+=(--option "audio=$(find "${word#--*=}" -follow -type f 2>/dev/null | sort | md5sum | cut -d' ' -f1)")
    fi
    before=$word
done
# Lists that were edited by hand are respected; lists that are gone are made again.
for set in "${sets[@]}"; do
    [ -f "$datadir/$set/wav.scp" ] || rm -f "$datadir/.done"
done
if is_done "$datadir/.done" "${spec[@]}" --option "sets=$made"; then
    log "stage 1: $datadir is done"
    exit 0
fi

# A recipe that can make single sets has an option for it.
if _options_of "$script" | cut -f1 | grep -x sets >/dev/null; then options=(--sets "${sets[*]}" "${options[@]}"); fi
log "stage 1: $script $(quoted "${options[@]}")"
run_child bash "$script" --data_dir "$datadir" --nj "$nj" "${options[@]}"
for set in "${sets[@]}"; do
    python -m svmixer validate_data_dir --data_dir "$datadir/$set"
done
remember "$datadir/.given" local_data_opts
mark_done "$datadir/.done" "${spec[@]}" --option "sets=${sets[*]}"
log "stage 1: done"
