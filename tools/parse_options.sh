# shellcheck shell=bash
# Strict option parsing for scripts, Kaldi style: source it after the commented defaults, with the script's
# arguments in place.
#
#   # Number of parallel jobs.
#   nj=4
#   . tools/parse_options.sh
#
# Every top-level `name=value` of the sourcing script that has a comment line right above it, and stands
# before the line that sources this file, is an option: `--name value` or `--name=value`; a dash may replace
# an underscore. An unknown option is an error that names the nearest known one. `--help` is printed from the
# comments and defaults, so it cannot drift. The leading comment block of the script is the help's head. What
# is left over is in "$@". `--config FILE` is an ordinary option here. A value may begin with dashes (--args
# "--lr 1"), unless it is exactly the name of another option: then the value was forgotten.
#
# Scripts may share options: a table declares them in the same way and sources this file, the scripts source the table
# in its place (stages/options.sh). A script takes those that it names, on one or more lines, or all:
#
#   option_names="nj seed"
#   option_names+=" tag"
#   . stages/options.sh

_script=${BASH_SOURCE[-1]} _table=${BASH_SOURCE[1]:?source this file from a script}
[ "$_table" != "$_script" ] || _table=
if [ ! -r "$_script" ]; then
    echo "parse_options.sh: cannot read $_script: source this file before changing the directory" >&2
    exit 1
fi

# option_error WORD…: stop, for a reason that has to do with options.
option_error() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# _options_of SCRIPT [TABLE]: lines "name<TAB>comment" for each option of a script; those of the table come where the
# script names them.
_options_of() {
    awk '
        FNR == 1 { over = 0 }
        /options\.sh/ && !/^#/ { over = 1 }
        over || /^# *shellcheck / { next }
        /^#/ { sub(/^#+ ?/, ""); comment = (comment == "" ? $0 : comment " " $0); next }
        /^option_names\+?="/ {
            gsub(/^option_names\+?=|"/, " ")
            for (i = 1; i <= shared; i++)
                if (/^ * all *$/ || index($0 " ", " " name[i] " ")) print name[i] "\t" about[i]
        }
        /^[a-z][a-z0-9_]*=/ && comment != "" {
            sub(/=.*/, "")
            if (FILENAME == ARGV[1]) { name[++shared] = $0; about[shared] = comment } else print $0 "\t" comment
        }
        { comment = "" }
    ' "${2:-/dev/null}" "$1"
}

_print_help() {
    local name comment
    awk '(NR == 1 && /^#!/) || /^# *shellcheck / { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$1"
    echo
    echo "Usage: ${1##*/} [--option value ...]"
    echo
    while IFS=$'\t' read -r name comment; do
        printf '  --%-20s %s (default: %s)\n' "$name" "$comment" "${!name:-none}"
    done < <(_options_of "$@")
    printf '  --%-20s %s\n' help "print this and end"
}

# The name in "$2…" nearest to option $1: one that begins with it, else by edit distance.
_nearest() {
    printf '%s\n' "${@:2}" | want=$1 awk '
        BEGIN { want = ENVIRON["want"]; sub(/^-+/, "", want); gsub(/-/, "_", want) }
        function min3(a, b, c) { return a < b ? (a < c ? a : c) : (b < c ? b : c) }
        {
            n = length(want); m = length($0)
            for (j = 0; j <= m; j++) d[0, j] = j
            for (i = 1; i <= n; i++) {
                d[i, 0] = i
                for (j = 1; j <= m; j++)
                    d[i, j] = min3(d[i-1, j] + 1, d[i, j-1] + 1,
                                   d[i-1, j-1] + (substr(want, i, 1) != substr($0, j, 1)))
            }
            if (n > 0 && index($0, want) == 1) d[n, m] = 1
            if (best == "" || d[n, m] < distance) { best = $0; distance = d[n, m] }
        }
        END { print best }'
}

# Stop unless every named variable is true or false.
require_bool() {
    local name
    for name in "$@"; do
        case ${!name} in
            true | false) ;;
            *) option_error "--$name must be true or false, not '${!name}'" ;;
        esac
    done
}

# Stop unless every named variable is an integer of at least $1.
require_int() {
    local least=$1 name
    shift
    for name in "$@"; do
        # No leading zero: arithmetic would read 010 as 8.
        if ! [[ ${!name} =~ ^(0|[1-9][0-9]{0,17})$ ]] || [ "${!name}" -lt "$least" ]; then
            option_error "--$name must be an integer of at least $least, not '${!name}'"
        fi
    done
}

# split_words TEXT: its words, by a shell's rules for quotes and backslashes, in the array `words`; nothing is expanded.
# Returns 1 if a quote is not closed; `words` is then that quote.
# shellcheck disable=SC2034  # words is for the caller
split_words() {
    local text=$1 quote='' word='' begun=false i char
    words=()
    for ((i = 0; i < ${#text}; i++)); do
        char=${text:i:1}
        # A backslash acts on whatever follows outside quotes, on five characters within double ones; with a line's end it is
        # nothing at all.
        if [ -n "$quote" ] && [ "$char" = "$quote" ]; then
            quote=''
        elif [ "$quote" != "'" ] && [[ ${text:i:2} == \\$'\n' ]]; then
            i=$((i + 1))
        elif [ "$char" = \\ ] && [[ $quote${text:i+1:1} == ? || $quote${text:i+1:1} == \"[\\\"\$\`] ]]; then
            i=$((i + 1)) begun=true
            word+=${text:i:1}
        elif [ -n "$quote" ]; then
            word+=$char
        elif [[ $char == [\"\'] ]]; then
            quote=$char begun=true
        elif [[ $char != [$' \t\n'] ]]; then
            word+=$char begun=true
        elif [ "$begun" = true ]; then
            words+=("$word")
            word='' begun=false
        fi
    done
    if [ -n "$quote" ]; then
        words=("$quote")
        return 1
    fi
    [ "$begun" = false ] || words+=("$word")
}

# Stop unless every named variable can be split into words.
require_words() {
    local name words
    for name in "$@"; do
        split_words "${!name}" || option_error "--$name: a quote ${words[0]} is not closed in: ${!name}"
    done
}

# quoted WORD…: one line that a shell reads back as these words; quotes stand only where they are needed.
quoted() {
    local word line='' close="'\\''"
    for word in "$@"; do
        [[ $word =~ ^[A-Za-z0-9_@%+=:,./-]+$ ]] || word="'${word//\'/"$close"}'"
        line+="${line:+ }$word"
    done
    printf '%s\n' "$line"
}

# recorded_command ROOT PROGRAM WORD…: one line that runs PROGRAM of the checkout ROOT again, with these words, in the working
# directory. Paths in either are relative, where a path is a whole word or all that stands behind `--name=`.
recorded_command() {
    local root=$1 program=$2 up word name path place line=()
    shift 2
    up=$(realpath --relative-to=. "$root")
    for word in "$@"; do
        name='' path=$word
        [[ ! $word =~ ^--[A-Za-z0-9_.-]+= ]] || name=${BASH_REMATCH[0]} path=${word#*=}
        for place in "$PWD" "$(pwd -P)" "$root"; do
            [[ $place != / && $path/ == "$place"/* ]] || continue
            path=${path#"$place"}
            while [[ $path == /* ]]; do path=${path#/}; done
            # Never empty, and no option.
            if [ "$place" = "$root" ] && [ "$up" != . ]; then path=$up${path:+/$path}; elif [[ $path == -* ]]; then path=./$path; fi
            path=${path:-.}
            break
        done
        line+=("$name$path")
    done
    quoted "$up/$program" "${line[@]}"
}

# was_given NAME: whether option NAME stands on this command line, rather than having its default. A script that gets all
# options from another one is told by it, in its option `given`.
was_given() {
    [[ " ${given:-$_given_options} " == *" $1 "* ]]
}

_known_options=$(_options_of "$_script" "$_table" | cut -f1)
declare -A _defaults=()
for _name in $_known_options; do _defaults[$_name]=${!_name-}; done

# Is $1, as --a-name or --a_name, a known option?
_is_option() {
    local name=${1#--}
    name=${name//-/_}
    [[ $1 == --* && $name =~ ^[a-z][a-z0-9_]*$ ]] && grep -qxF "$name" <<<"$_known_options"
}

_given_options=
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) _print_help "$_script" "$_table"; exit 0 ;;
        --) shift; break ;;
        -?*)
            _name=${1%%=*}
            if ! _is_option "$_name"; then
                # shellcheck disable=SC2086  # one word a name
                _near=$(_nearest "$_name" $_known_options)
                option_error "unknown option $_name; did you mean --$_near? (--help lists them)"
            fi
            _name=${_name#--}
            _name=${_name//-/_}
            _given_options+=" $_name"
            if [[ $1 == *=* ]]; then
                printf -v "$_name" %s "${1#*=}"
                shift
            elif [ $# -ge 2 ] && ! _is_option "$2"; then
                printf -v "$_name" %s "$2"
                shift 2
            else
                option_error "option $1 needs a value"
            fi
            ;;
        *) break ;;
    esac
done
unset _name _script _table
