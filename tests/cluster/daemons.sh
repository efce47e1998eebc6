# shellcheck shell=bash
# What slurm.sh and sge.sh share: packages, ports, locks, and processes that are known by number and name.
# Sourced after the options are parsed. Exit status 77 means "cannot run here", with the reason on stderr.
# shellcheck disable=SC2154  # install is an option of the script that sources this

# Only processes of this cluster have this in their environment.
mark=SVMIXER_TEST_CLUSTER

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

cannot() {
    echo "${0##*/}: $*" >&2
    exit 77
}

# check_call ACTION DIR: the words of the command line; sets $action and $dir.
check_call() {
    [ $# -eq 2 ] || die "say start DIR or stop DIR (--help lists the options)"
    action=$1 dir=$2
    case $action in
        start | stop) ;;
        *) die "unknown action '$action': start or stop" ;;
    esac
    # The schedulers' configuration files have no quoting.
    [[ $dir == /* && $dir =~ ^[A-Za-z0-9/._+-]+$ ]] || die "'$dir': give an absolute path of plain characters"
    require_bool purge install
}

# open_directory: make $dir; munge wants a way to its socket that is open to all.
open_directory() {
    mkdir -p "$dir"
    chmod 755 "$dir"
}

# hold: one script at a time works in $dir; the lock goes with this process. Daemons must not inherit it.
hold() {
    exec 9<"$dir"
    flock -w 120 9 || die "another call works in $dir"
}

# need_root: the daemons run jobs for their users.
need_root() {
    [ "$(id -u)" -eq 0 ] || cannot "needs root"
}

# need_packages PACKAGE…: install them, if a program in $programs is missing.
need_packages() {
    local program missing=
    for program in "${programs[@]}"; do
        command -v "$program" >/dev/null || missing="$missing $program"
    done
    [ -n "$missing" ] || return 0
    [ "$install" = true ] || cannot "these programs are missing:$missing"
    command -v apt-get >/dev/null || cannot "these programs are missing, and there is no apt to get them:$missing"
    local log policy=/usr/sbin/policy-rc.d keep=true
    log=$(mktemp)
    # The packages would start services of their own.
    if ! [ -e "$policy" ]; then
        keep=false
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    local get=(apt-get -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300)
    if "${get[@]}" install "$@" </dev/null >"$log" 2>&1 9>&- ||
        { "${get[@]}" update && "${get[@]}" install "$@"; } </dev/null >"$log" 2>&1 9>&-; then
        missing=
    fi
    [ "$keep" = true ] || rm -f "$policy"
    if [ -n "$missing" ]; then
        tail -n 5 "$log" >&2
        rm -f "$log"
        cannot "apt cannot install $*"
    fi
    rm -f "$log"
}

# free_ports NUMBER: so many ports of 127.0.0.1 that nobody uses, below those that the kernel gives to clients.
free_ports() {
    perl -MSocket -e '
        my ($number) = @ARGV;
        my (@held, @ports);
        for my $try (1 .. 1000) {
            my $port = 12_000 + int rand 18_000;
            socket my $socket, PF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
            next if !bind $socket, pack_sockaddr_in($port, INADDR_ANY);
            push @held, $socket;
            push @ports, $port;
            last if @ports == $number;
        }
        die "no free ports\n" if @ports < $number;
        print "@ports\n";' "$1"
}

# one_start: no other start of any cluster on this machine chooses ports until ours are in use.
one_start() {
    exec 8</tmp
    flock -w 300 8 || die "another cluster is being started, for 300 s"
}

# launch COMMAND…: start a daemon that carries our mark and none of our locks.
launch() {
    env "$mark=$dir" "$@" </dev/null >"$dir/log/start.log" 2>&1 8>&- 9>&- && return
    cat "$dir/log/start.log" >&2
    die "'$*' failed"
}

# is_ours PID NAME: is that process a daemon of this cluster, and alive?
is_ours() {
    [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ] &&
        ! grep -q '^State:.*[ZX]' "/proc/$1/status" 2>/dev/null &&
        grep -qzFx "$mark=$dir" "/proc/$1/environ" 2>/dev/null
}

# alive NAME [FILE]: does the daemon NAME run, by its process id in $dir/FILE.pid?
alive() {
    local pid
    pid=$(cat "$dir/${2:-$1}.pid" 2>/dev/null) && [ -n "$pid" ] && is_ours "$pid" "$1"
}

# within SECONDS COMMAND…: try it until it succeeds or the time is over.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1 9>&- 8>&-; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

gone() { ! is_ours "$1" "$2"; }

# end_daemon SIGNAL NAME [FILE]: end it; KILL if it does not go.
end_daemon() {
    local pid file=$dir/${3:-$2}.pid
    pid=$(cat "$file" 2>/dev/null) || return 0
    if [ -n "$pid" ] && is_ours "$pid" "$2"; then
        kill "-$1" "$pid" 2>/dev/null || true
        within 20 gone "$pid" "$2" || kill -KILL "$pid" 2>/dev/null || true
        within 5 gone "$pid" "$2" || die "$2 ($pid) does not end"
    fi
    rm -f "$file"
}

# end_left TEXT: KILL every process that has TEXT in a line of its environment: jobs, and keepers of jobs, that have lost
# their daemon. Here ends only what carries the name of this cluster.
end_left() {
    local file
    while read -r file; do
        file=${file%/environ}
        kill -KILL "${file#/proc/}" 2>/dev/null || true
    done < <(grep -lzF -- "$1" /proc/[0-9]*/environ 2>/dev/null || true)
}

# purge_directory: remove $dir, if --purge true asks for it.
purge_directory() {
    if [ "$purge" = true ]; then rm -rf "$dir"; fi
}
