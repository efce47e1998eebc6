# shellcheck shell=bash
# What the stage scripts share: the environment, logging with time and place, markers, dispatch with visible progress.
# Sourced after the options are parsed.
# shellcheck disable=SC2154  # recipe, force and the like are options of the script that sources this

# shellcheck source=path.sh
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
# shellcheck source=cmd.sh
. "$SVMIXER_ROOT/cmd.sh"
# shellcheck source=tools/run_child.sh
. "$SVMIXER_ROOT/tools/run_child.sh"

log() {
    echo "$(date '+%Y-%m-%d %H:%M:%S') (${BASH_SOURCE[1]##*/}:${BASH_LINENO[0]}) $*"
}

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# resolve FILE: a configuration file, looked up in the recipe, in the project, then as a path.
resolve() {
    local folder
    for folder in "$recipe" "$SVMIXER_ROOT" .; do
        if [ -f "$folder/$1" ]; then
            echo "$folder/$1"
            return 0
        fi
    done
    if [ -f "$1" ]; then
        echo "$1"
    else
        die "no such file: $1 (looked in the recipe $recipe and in $SVMIXER_ROOT)"
    fi
}

# Options whose values come from a finished step.
remembered=

# recall DIR FILE NAME…: options that were given when the step that left FILE was done and are not given now take the values
# they had, for what is made in DIR. `remembered` gets their names. Steps of another recipe do not count.
recall() {
    local dir=$1 file=$2 made=it owner name item
    shift 2
    [ -f "$file" ] || return 0
    [ "${file%/*}" = "$dir" ] || made=${file%/*}
    exec 7<"$file"
    IFS= read -r -d '' -u 7 owner || true
    if [ "$owner" = "$(recipe_name)" ]; then
        while IFS= read -r -d '' -u 7 item; do
            name=${item%%=*}
            if [[ " $* " != *" $name "* ]] || was_given "$name"; then continue; fi
            remembered+=" $name"
            [ "${!name}" != "${item#*=}" ] || continue
            printf -v "$name" %s "${item#*=}"
            log "$dir: --$name $(quoted "${!name}"), as $made was made with; give --$name to change that"
        done
    fi
    exec 7<&-
}

# remember FILE NAME…: leave for `recall` which of these options were given, now or earlier.
remember() {
    local file=$1 name
    shift
    {
        printf '%s\0' "$(recipe_name)"
        for name in "$@"; do
            if [[ " $remembered " == *" $name "* ]] || was_given "$name"; then printf '%s=%s\0' "$name" "${!name}"; fi
        done
    } >"$file.new"
    mv "$file.new" "$file"
}

# recipe_name: the recipe, wherever the checkout is; `.` for one outside that keeps its data beside itself, wherever that is.
recipe_name() {
    local folder
    folder=$(cd "$recipe" && pwd)
    [ "$folder" != "$PWD" ] || [[ $folder == "$SVMIXER_ROOT"/* ]] || folder=.
    echo "${folder#"$SVMIXER_ROOT/"}"
}

# digest_named FILE…: one checksum of their names and contents.
digest_named() {
    md5sum "$@" </dev/null | md5sum | cut -d' ' -f1
}

# digest FILE…: one checksum of their contents; without files, that of nothing.
digest() {
    cat "$@" </dev/null | md5sum | cut -d' ' -f1
}

# teacher_digest NAME: checksum of a teacher that is a directory here or comes with the package; else nothing.
teacher_digest() {
    local folder
    for folder in "$1" "$SVMIXER_ROOT/svmixer/assets/$1"; do
        if [ -f "$folder/model.safetensors" ]; then
            digest "$folder/model.safetensors"
            return 0
        fi
    done
}

# model_dir MODEL: the path of a model directory, or of a model that comes with the package; stop if there is none.
model_dir() {
    local folder
    for folder in "$1" "$SVMIXER_ROOT/svmixer/assets/$1"; do
        if [ -f "$folder/model.safetensors" ] && [ -f "$folder/config.yaml" ]; then
            (cd "$folder" && pwd)
            return 0
        fi
    done
    die "$1: no model directory (config.yaml and model.safetensors)"
}

# marker VERB …: what `svmixer done` says or does about markers of finished steps.
marker() {
    python -m svmixer "done" "$@"
}

# require MARKER@STAGE…: stop, naming the first missing or stale input and the stage that makes it.
require() {
    marker require "$@" || exit 1
}

# own DIR: be the only run that works in DIR; a run that was just killed gets a moment to end. The kernel releases the lock when
# this script and all its jobs have ended, however they end. Then half-written files of a killed run are removed: they have the
# names that svmixer.fileio.atomic_path gives, and nobody else is writing here.
#
# DIR/.owner says who that is. It is renewed every few seconds while the lock is held: where locks do not reach other machines
# (some network file systems), a renewed record of another machine means that a run is there, and one that is not renewed belongs
# to a dead run. A finished DIR that is read-only can be used as it is.
owner_patience=20 owner_beat=5
own() {
    local dir=$1 record
    mkdir -p "$dir"
    if [ ! -w "$dir" ]; then
        read_only=$dir
        return 0
    fi
    # The file stays and is open for writing: network file systems lock only such files.
    exec 9<>"$dir/.lock"
    record=$(cat "$dir/.owner" 2>/dev/null || true)
    local locked=0
    flock -w "$owner_patience" 9 2>/dev/null || locked=$?
    [ "$locked" -ne 1 ] || die "$dir is in use by ${record:-another run}"
    if [ -f "$dir/.owner" ]; then
        record=$(cat "$dir/.owner")
        if { [ "$locked" -ne 0 ] || [[ $record != *" on $HOSTNAME since "* ]]; } && is_renewed "$dir/.owner"; then
            die "$dir is in use by $record"
        fi
        log "$dir: $record has ended without finishing; going on from there"
    fi
    echo "process $$ on $HOSTNAME since $(date '+%Y-%m-%d %H:%M:%S')" >"$dir/.owner"
    # Every process of this run holds the other end of the pipe, so the loop ends with the last of them.
    exec 8> >(
        exec 9>&-
        trap '' INT TERM HUP
        while read -r -t "$owner_beat" _ || [ $? -gt 128 ]; do touch -c "$dir/.owner"; done
    )
    # A second signal to the process group would reach rm.
    # shellcheck disable=SC2064  # this directory
    trap "trap '' INT TERM HUP; rm -f $(printf %q "$dir/.owner")" EXIT
    # With the slash it also works if the directory is a symbolic link.
    find "$dir/" -type f -name '.?*.????????.tmp' -delete
}

# is_renewed FILE: whether somebody touches FILE, by the clock of its machine; ours may differ.
is_renewed() {
    local before now deadline=$((SECONDS + owner_patience))
    before=$(stat -c '%.Y %i' "$1")
    while [ "$SECONDS" -lt "$deadline" ]; do
        sleep 1
        # Opening it makes network file systems ask the server for its times.
        : <"$1" || return 1
        now=$(stat -c '%.Y %i' "$1")
        [ "$now" = "$before" ] || return 0
    done
    return 1
}

# may_write: stop if the directory that this stage owns can only be read.
read_only=
may_write() {
    [ -z "$read_only" ] || die "cannot write in $read_only: it is read-only, or another user's"
}

# is_done MARKER SPEC…: true if that step is finished and still current. If not, the marker is removed and the log says what has
# changed: the step is done again.
is_done() {
    local marker=$1 reason status=0
    shift
    if [ "$force" = false ] && [ -f "$marker" ]; then
        reason=$(marker check "$marker" "$@") || status=$?
        [ "$status" -ne 0 ] || return 0
        # A check that was killed has not found a change.
        [ "$status" -eq 1 ] || die "the check of $marker ended with status $status"
        log "${marker%/.done}: again, because ${reason:-it is not finished}"
    fi
    may_write
    rm -f "$marker"
    return 1
}

# mark_done MARKER SPEC…
mark_done() {
    marker write "$@"
}

# keep_or_continue DIR SPEC…: for trainings, which are never removed silently. Returns 1 if DIR is finished and current;
# stops if it was made from other inputs or options; with --allow_changes true continues it with these; with --force true
# sets it aside. SPEC names inputs and options only.
keep_or_continue() {
    local dir=$1 reason status=0
    shift
    if [ "$force" = true ] && [ -e "$dir" ]; then
        local aside
        may_write
        aside=$dir.before-$(date +%Y%m%dT%H%M%S)
        mv "$dir" "$aside"
        log "--force: the earlier $dir is now $aside"
    fi
    if [ -f "$dir/.inputs" ]; then
        reason=$(marker check "$dir/.inputs" "$@") || status=$?
        [ "$status" -le 1 ] || die "the check of $dir/.inputs ended with status $status"
    fi
    if [ "$status" -eq 1 ]; then
        [ "${allow_changes:-false}" = true ] ||
            die "$dir was made from other inputs or options: $reason. Take another --tag to keep both, --force true to do" \
                "it again, or --allow_changes true to continue it"
        log "--allow_changes: $dir is continued although $reason"
        rm -f "$dir/.done"
    fi
    [ ! -f "$dir/.done" ] || return 1
    may_write
    mkdir -p "$dir"
    mark_done "$dir/.inputs" "$@"
}

# resume_by FILE…: sets resume_options, with which a dispatcher leaves out the tasks that an interrupted run finished
# from the same inputs; call finish_tasks after it has succeeded.
# shellcheck disable=SC2034  # for the script that sources this
resume_by() {
    resume_options=(--resume true --resume-key "$(digest "$@")")
    [ "$force" = false ] || resume_options=()
}

# finish_tasks LOGDIR: forget the tasks when all have succeeded. The next step may find their output wrong, and then they have to
# run again.
finish_tasks() {
    rm -rf "$1/.dispatch"
}

# glibc returns large blocks to the system and gets them again, page fault by page fault, at every training step. Keeping them
# saves that time.
keep_memory=(MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=268435456)

# Stands for a node's number, from 1, in the log of a training on several nodes.
node_word=

# dispatch_watched "$cmd" LOG command…: one job whose progress lines are shown while it runs; of several nodes, the first's.
dispatch_watched() {
    local cmd=$1 logfile=$2 watcher status=0 node old n
    shift 2
    mkdir -p "$(dirname "$logfile")"
    # A resumed run keeps the logs of the one before.
    for ((node = 1; node <= ${num_nodes:-1}; node++)); do
        old=${logfile//$node_word/$node}
        [ -s "$old" ] || continue
        n=1
        while [ -e "${old%.log}.before$n.log" ]; do n=$((n + 1)); done
        mv "$old" "${old%.log}.before$n.log"
    done
    : >"${logfile//$node_word/1}"
    # On a cluster the log is a link to the log of the running attempt, which inotify cannot follow. A signal to the process group
    # does not end it, so that it still shows what the job says about that signal.
    (
        trap '' TERM INT HUP
        exec tail -n +1 -F -s 0.2 ---disable-inotify --pid=$$ "${logfile//$node_word/1}" 2>/dev/null > \
            >(exec grep --line-buffered ') INFO: ')
    ) &
    watcher=$!
    disown "$watcher"
    # shellcheck disable=SC2086  # $cmd is a command with its options
    run_child env "${keep_memory[@]}" $cmd "$logfile" "$@" || status=$?
    sleep 0.3
    kill -KILL "$watcher" 2>/dev/null || true
    return "$status"
}
