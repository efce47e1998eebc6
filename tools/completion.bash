# Verbs and options of svmixer in bash, completed with the TAB key:  . tools/completion.bash
# What there is comes from the help of the program itself, in a quarter of a second.

_svmixer() {
    local word=${COMP_WORDS[COMP_CWORD]} words=""
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words=$(svmixer --help | sed -nE 's/^  ([a-z_]+) .*/\1/p')
    elif [[ $word == -* ]]; then
        words=$(svmixer "${COMP_WORDS[1]}" --help 2> /dev/null | sed -nE 's/^  (--[^ ]+) .*/\1/p')
    fi
    # Without words: names of files, which `complete -o default` brings.
    [ -z "$words" ] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _svmixer svmixer
