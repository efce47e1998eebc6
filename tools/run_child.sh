# shellcheck shell=bash
# run_child COMMAND…: run it and return its status, such that a signal to this script alone reaches it.
#
# A shell that waits for a foreground command would die of the signal and leave the command without its parent; a training
# could not save then. The command gets TERM, may take its time, and this script ends after it.

run_child() {
    local status=0 child
    "$@" &
    child=$!
    # shellcheck disable=SC2064  # this child, not a later one
    trap "kill -TERM $child 2>/dev/null || true" TERM INT HUP
    wait "$child" || status=$?
    # A trapped signal ends the wait before the child has ended.
    while kill -0 "$child" 2>/dev/null; do
        status=0
        wait "$child" || status=$?
    done
    trap - TERM INT HUP
    return "$status"
}
