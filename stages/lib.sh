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

# resolve FILE: a configuration file, looked up in the recipe, then in the project, then as it stands.
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

# digest FILE…: one checksum of their contents; of nothing if there are none.
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

# model_dir MODEL: where a model directory, or a model that comes with the package, is; stop if it is none.
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

# require MARKER@STAGE…: stop, naming the first missing or stale input and the stage that makes it.
require() {
    python -m svmixer.bin.done require "$@" || exit 1
}

# own DIR: be the only run that works in DIR; a run that was just killed gets a moment to go. The kernel lets go of it when
# this script and all its jobs have ended, however they end. Half-written files of a killed run are then removed: they have
# the names that svmixer.fileio.atomic_path gives, and nobody else is writing here.
own() {
    mkdir -p "$1"
    exec 9<"$1"
    flock -w 20 9 || die "$1 is in use by another run"
    find "$1" -type f -name '.?*.????????.tmp' -delete
}

# is_done MARKER SPEC…: true if that step is finished and still current; says why if it is finished but not current.
is_done() {
    local marker=$1 reason
    shift
    [ "$force" = false ] && [ -f "$marker" ] || return 1
    if reason=$(python -m svmixer.bin.done check "$marker" "$@"); then
        return 0
    fi
    log "${marker%/.done}: again, because ${reason:-it is not finished}"
    return 1
}

# mark_done MARKER SPEC…
mark_done() {
    python -m svmixer.bin.done write "$@"
}

# keep_or_continue DIR SPEC…: for trainings, which are never thrown away in silence. Returns 1 if DIR is finished and current;
# stops if it was made from other inputs or options; with --force true sets it aside. SPEC names inputs and options only.
keep_or_continue() {
    local dir=$1 reason
    shift
    if [ "$force" = true ] && [ -e "$dir" ]; then
        local aside
        aside=$dir.before-$(date +%Y%m%dT%H%M%S)
        mv "$dir" "$aside"
        log "--force: the earlier $dir is now $aside"
    fi
    if [ -f "$dir/.inputs" ] && ! reason=$(python -m svmixer.bin.done check "$dir/.inputs" "$@"); then
        die "$dir was made from other inputs or options: $reason. Take another --tag to keep both, or --force true to do it again"
    fi
    [ ! -f "$dir/.done" ] || return 1
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

# finish_tasks LOGDIR: the tasks are forgotten when all are through. What comes next may find their output wrong, and then
# they have to run again.
finish_tasks() {
    rm -rf "$1/.dispatch"
}

# glibc gives large blocks back to the system and takes them anew, page fault by page fault, at every training step. Keeping
# them saves that.
keep_memory=(MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 MALLOC_TOP_PAD_=268435456)

# dispatch_watched "$cmd" LOG command…: one job whose progress lines are shown while it runs.
dispatch_watched() {
    local cmd=$1 logfile=$2 watcher status=0
    shift 2
    mkdir -p "$(dirname "$logfile")"
    # A resumed run keeps the log of the one before.
    if [ -s "$logfile" ]; then
        local n=1
        while [ -e "${logfile%.log}.$n.log" ]; do n=$((n + 1)); done
        mv "$logfile" "${logfile%.log}.$n.log"
    fi
    : >"$logfile"
    # On a cluster the log is a link to the log of the running attempt, which inotify cannot follow.
    tail -n +1 -F ---disable-inotify --pid=$$ "$logfile" 2>/dev/null > >(exec grep --line-buffered ') INFO: ') &
    watcher=$!
    # shellcheck disable=SC2086  # $cmd is a command with its options
    run_child env "${keep_memory[@]}" $cmd "$logfile" "$@" || status=$?
    sleep 0.3
    kill "$watcher" 2>/dev/null || true
    wait "$watcher" 2>/dev/null || true
    return "$status"
}
