#!/usr/bin/env bash
# Benchmarks: one script a table, each writes TABLE.md and TABLE.json, and one page of all that have been made.
#
#   benchmarks/run.sh                                                        all tables, an hour or two on two cores
#   benchmarks/run.sh --tables "models peak" --quick true                    two of them, tiny, to see that they work
#   benchmarks/run.sh --output benchmarks/results/avx512 --page docs/benchmarks.md    the page of the documentation
#   benchmarks/run.sh --dry_run true                                         the command of every table, nothing is run
#
# The table peers has an environment of its own with the packages that are compared: .venv-benchmarks, which peers_env.sh
# makes, or what SVMIXER_BENCH_VENV names, which is taken as it is.
set -euo pipefail

# Tables to make, separated by blanks; empty makes all, none the page of those that there are.
tables=
# Where tables go.
output=exp/benchmark
# The page of all tables in the output folder; empty: benchmarks.md in the output folder.
page=
# Numbers of threads, separated by blanks.
threads="1 2"
# true: smallest models and sizes, few rounds: the figures mean nothing.
quick=false
# true: print the commands and run nothing.
dry_run=false

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tools/parse_options.sh"
[ $# -eq 0 ] || { echo "run.sh: unexpected argument '$1' (--help lists the options)" >&2; exit 1; }
require_bool quick dry_run
read -ra numbers <<<"$threads"
for number in "${numbers[@]:-}"; do
    [[ $number =~ ^[1-9][0-9]*$ ]] || { echo "run.sh: --threads: '$number' is no number of threads" >&2; exit 1; }
done
number_list=$(IFS=, && echo "[${numbers[*]}]")

# In the order of the page: models, recordings and lists, training. Each is a script of this folder.
all=(models peers peak lengths extraction streaming scoring training_step loading augment formatting lists)
# Scripts that do not take --threads.
one_thread=" augment formatting lists "

read -ra wanted <<<"${tables/#none/}"
[ -n "$tables" ] || wanted=("${all[@]}")
for table in "${wanted[@]}"; do
    [[ " ${all[*]} " == *" $table "* ]] ||
        { echo "run.sh: there is no table '$table'; did you mean '$(_nearest "$table" "${all[@]}")'?" >&2; exit 1; }
done
[ "$dry_run" = true ] || "$root/tools/setup.sh"
. "$root/path.sh"
page=${page:-$output/benchmarks.md}
peers_venv=${SVMIXER_BENCH_VENV:-$root/.venv-benchmarks}

# The command of table $1, as the array `command`.
command_of() {
    command=(python "$root/benchmarks/$1.py" --output "$output" --quick "$quick")
    [[ $one_thread == *" $1 "* ]] || command+=(--threads "$number_list")
    [ "$1" != peers ] || command[0]=$peers_venv/bin/python
}

failed=()
for table in "${wanted[@]}"; do
    command_of "$table"
    if [ "$dry_run" = true ]; then
        echo "${command[*]@Q}"
        continue
    fi
    echo "== $table"
    if [ "$table" = peers ] && [ -z "${SVMIXER_BENCH_VENV:-}" ] && ! "$root/benchmarks/peers_env.sh"; then
        failed+=(peers)
        continue
    fi
    "${command[@]}" || failed+=("$table")
done
[ "$dry_run" = false ] || exit 0

# What the JSON file $1 says of the machine, on one line.
machine_of() {
    python -c '
import json, sys
print(", ".join(value if name in ("processor", "system") else f"{name} {value}"
                for name, value in json.load(open(sys.argv[1]))["machine"].items()))' "$1"
}

# The page: the introduction, remarks by hand where there are any (notes.md), the machines, then the tables that there
# are, a script's further ones (peak_machine) behind its first.
mkdir -p "$output" "$(dirname "$page")"
{
    cat "$root/benchmarks/intro.md"
    [ ! -f "$output/notes.md" ] || { echo; cat "$output/notes.md"; }
    echo
    for file in "$output"/*.json; do
        [ ! -f "$file" ] || machine_of "$file"
    done | sort -u | sed 's/^/- Machine: /' | fold -s -w 118 | sed 's/ *$//'
    for table in "${all[@]}"; do
        for file in "$output/$table.md" "$output/$table"_*.md; do
            [ ! -f "$file" ] || { echo; cat "$file"; }
        done
    done
} >"$page.tmp"
mv "$page.tmp" "$page"
echo "== $page"
[ ${#failed[@]} -eq 0 ] || { echo "run.sh: failed: ${failed[*]}" >&2; exit 1; }
