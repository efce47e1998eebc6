# shellcheck shell=bash
# run_child COMMAND…: run it and return its status, such that a signal to this script alone reaches it.
#
# A shell that waits for a foreground command would die of the signal and leave the command without its parent; a training
# could not save then. Here the command and all that it runs get TERM and may take their time. Afterwards told_to_stop is true and
# the status is 2, like a dispatcher's, for this script to end with, and the script's own traps hold again.
told_to_stop=false
# Process ids that have been told, each between blanks.
_told=' '

run_child() {
    local status=0 child='' before mark=${SVMIXER_RUN_CHILD-}/$$
    before=$(for signal in TERM INT HUP; do
        handler=$(trap -p "$signal")
        echo "${handler:-trap - $signal}"
    done)
    trap 'told_to_stop=true; _tell_to_stop "$child"' TERM INT HUP
    SVMIXER_RUN_CHILD=$mark "$@" &
    child=$!
    # The signal came before the child had started.
    [ "$told_to_stop" = false ] || _tell_to_stop "$child"
    wait "$child" || status=$?
    if [ "$told_to_stop" = true ]; then
        # The signal ended the wait, perhaps before the child has ended. Do not wait for a child that is gone: bash (5.2) may forget
        # the end of a process that ends while a signal comes, and would wait forever. Its status may be lost, too.
        while kill -0 "$child" 2>/dev/null; do wait "$child" || true; done
        _tell_leftovers "$mark"
        status=2
    fi
    # One by one and at once: between no trap and the former one a second signal would end the script with a status of its own.
    eval "$before"
    return "$status"
}

# TERM for process $1 and those below it in its process group: a script that dies of it would leave behind what it waits for.
# Tasks of a dispatcher have groups of their own; the dispatcher tells them.
_tell_to_stop() {
    local below
    [ -n "$1" ] || return 0
    below=$(cat /proc/[0-9]*/stat 2>/dev/null | awk -v top="$1" '
        { pid = $1; sub(/.*\) . /, ""); parent[pid] = $1; group[pid] = $2 }
        END {
            for (pid in parent) {
                for (above = pid; above != top && group[above] == group[top] && (above in parent);) above = parent[above]
                if (above == top && pid != top) print pid
            }
        }') || true
    # shellcheck disable=SC2086  # numbers
    kill -TERM "$1" $below 2>/dev/null || true
    _told+=" ${below//$'\n'/ } "
}

# TERM for what the environment marks as below this script, that is in its process group and has not been told: a script may have
# started it in the moment in which it was told to stop itself.
_tell_leftovers() {
    local own left pid new
    own=$(ps -o pgid= -p $$) || return 0
    # Until there is no new one: they may start further ones. Some end while they are looked at, which is no failure.
    while :; do
        left=$({ grep -lzsE "^SVMIXER_RUN_CHILD=$1(/|\$)" /proc/[0-9]*/environ || true; } | cut -d/ -f3 |
            xargs -r sh -c 'ps -o pid=,pgid=,stat= -p "$@" || true' sh | awk -v own="$((own))" '$2 == own && $3 !~ /^Z/ { print $1 }')
        new=
        for pid in $left; do
            [[ $_told == *" $pid "* ]] || { new+=" $pid" _told+="$pid "; }
        done
        [ -n "$new" ] || return 0
        # shellcheck disable=SC2086  # numbers
        kill -TERM $new 2>/dev/null || true
        sleep 0.1
    done
}

# run_tasks "$cmd" N LOG command…: N tasks at a dispatcher, logged as LOG.<task>.log; the command gets --job <task>, too.
run_tasks() {
    local cmd=$1 tasks=$2 logfile=$3 word
    shift 3
    word=$(task_word JOB "$logfile" "$@")
    # shellcheck disable=SC2086  # a command with its options
    run_child $cmd "$word=1:$tasks" "$logfile.$word.log" "$@" --job "$word"
}

# task_word WORD TEXT…: WORD, made longer until no TEXT contains it. A dispatcher replaces that word by the task's number
# everywhere, also in paths and options.
task_word() {
    local word=$1
    shift
    while [[ "$*" == *"$word"* ]]; do word+=_; done
    echo "$word"
}
