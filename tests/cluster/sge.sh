#!/usr/bin/env bash
# A Grid Engine of one host on this machine alone, for tests: sge_qmaster and sge_execd, bound to the loopback address that
# this machine's name has, with a cell of its own in one directory, on ports that are free.
#
#   sge.sh [options] start DIR     start what does not run; prints the environment of clients, one NAME=value a line
#   sge.sh [options] stop DIR      end the jobs and the daemons
#
# Needs root, and a machine whose own name is in /etc/hosts with a loopback address. Exit status 77: it cannot run here;
# stderr says why.
# shellcheck disable=SC2034  # options are read by name
set -euo pipefail

# true: start installs missing packages through apt.
install=true
# true: stop also removes DIR, and does not wait for the master to close its books.
purge=false

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../tools/parse_options.sh"
. "$here/daemons.sh"
check_call "$@"
programs_dir=/usr/lib/gridengine share=/usr/share/gridengine
programs=("$programs_dir"/{sge_qmaster,sge_execd,spoolinit,spooldefaults} qsub qstat qconf qdel qacct gcc perl)
host=$(hostname -s)
cell=$dir/default/common

client_environment() {
    printf '%s\n' "SGE_ROOT=$dir" SGE_CELL=default "SGE_ARCH=$(cat "$dir/arch")" \
        "SGE_QMASTER_PORT=$(sed -n 1p "$dir/ports")" "SGE_EXECD_PORT=$(sed -n 2p "$dir/ports")"
}

use_environment() {
    local line
    while IFS= read -r line; do export "${line?}"; done < <(client_environment)
    export SGE_QMASTER_PIDFILE=$dir/sge_qmaster.pid SGE_EXECD_PIDFILE=$dir/sge_execd.pid
}

# own_address: the loopback address that this machine's name has.
own_address() {
    local address
    address=$(getent ahostsv4 "$host" | awk '{ print $1; exit }') || true
    [ -n "$address" ] || cannot "the name of this machine, $host, has no address (see /etc/hosts)"
    [[ $address == 127.* ]] || cannot "the name of this machine, $host, stands for $address, which is no loopback address"
    echo "$address"
}

# The daemons listen on every address and know no option for it: a library between them and bind() gives it one.
build_pin() {
    gcc -shared -fPIC -x c -o "$dir/pin.so" - -ldl <<END
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>

int bind(int socket, const struct sockaddr *wanted, socklen_t size)
{
    int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
    struct sockaddr_in pinned;

    if (wanted->sa_family != AF_INET || size < sizeof pinned)
        return next(socket, wanted, size);
    pinned = *(const struct sockaddr_in *)wanted;
    pinned.sin_addr.s_addr = inet_addr("$1");
    return next(socket, (const struct sockaddr *)&pinned, sizeof pinned);
}
END
}

write_bootstrap() {
    echo "$host" >"$cell/act_qmaster"
    echo svmixer_test >"$cell/cluster_name"
    # 127.0.0.1 is "localhost" when looked up backwards: that is this host, too.
    echo "$host localhost" >"$cell/host_aliases"
    cat >"$cell/bootstrap" <<END
admin_user none
default_domain none
ignore_fqdn true
spooling_method classic
spooling_lib libspoolc
spooling_params $cell;$dir/spool/qmaster
binary_path $programs_dir
qmaster_spool_dir $dir/spool/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
END
}

# What qmaster reads at its first start: global settings, resources, hosts.
write_defaults() {
    local forms=$dir/forms resource
    mkdir -p "$forms"/{admin,submit}
    # Root submits; looks and books are kept every second or two.
    awk -v spool="$dir/spool/execd" '
        BEGIN {
            set["execd_spool_dir"] = spool
            set["min_uid"] = set["min_gid"] = 0
            set["mailer"] = "/bin/true"
            set["administrator_mail"] = "none"
            set["load_report_time"] = "00:00:02"
            set["max_unheard"] = "00:00:20"
            set["reporting_params"] = "accounting=true reporting=false flush_time=00:00:01 joblog=false sharelog=00:00:00"
        }
        $1 in set { $0 = $1 " " set[$1] }
        { print }' "$share/default-configuration" >"$forms/configuration"
    cp -r "$share/util/resources/centry" "$forms/complexes"
    for resource in "gpu gpu INT" "ram_free ram_free MEMORY" "mem_free mf MEMORY"; do
        # shellcheck disable=SC2086  # three words
        printf 'name %s\nshortcut %s\ntype %s\nrelop <=\nrequestable YES\nconsumable YES\ndefault 0\nurgency 0\n' \
            $resource >"$forms/complexes/${resource%% *}"
    done
    echo "hostname $host" | tee "$forms/admin/$host" >"$forms/submit/$host"
    spool() { LD_LIBRARY_PATH=$programs_dir "$programs_dir/$1" "${@:2}"; }
    spool spoolinit classic libspoolc "$cell;$dir/spool/qmaster" init
    spool spooldefaults configuration "$forms/configuration"
    spool spooldefaults complexes "$forms/complexes"
    spool spooldefaults usersets "$share/util/resources/usersets"
    spool spooldefaults pes "$share/util/resources/pe"
    spool spooldefaults managers root
    spool spooldefaults adminhosts "$forms/admin"
    spool spooldefaults submithosts "$forms/submit"
}

write_cell() {
    local kind arch address=$1
    rm -rf "${dir:?}"/*
    arch=$("$share/util/arch")
    mkdir -p "$cell" "$dir"/{bin,lib,utilbin,log,spool/qmaster/job_scripts,spool/execd}
    for kind in bin lib utilbin; do ln -s "$programs_dir" "$dir/$kind/$arch"; done
    ln -s "$share/util" "$dir/util"
    echo "$arch" >"$dir/arch"
    free_ports 2 | tr ' ' '\n' >"$dir/ports"
    build_pin "$address"
    write_bootstrap
    use_environment
    write_defaults >"$dir/log/defaults.log" 2>&1
    touch "$dir/cell_written"
}

# What can only be set in a running master: the queue, its host's resources, how often the scheduler works.
configure_queue() {
    local forms=$dir/forms
    printf 'group_name @allhosts\nhostlist %s\n' "$host" >"$forms/group"
    qconf -Ahgrp "$forms/group"
    qconf -ssconf | awk '
        $1 == "schedule_interval" { $0 = $1 " 0:0:1" }
        $1 ~ /^flush_(submit|finish)_sec$/ { $0 = $1 " 1" }
        { print }' >"$forms/scheduler"
    qconf -Msconf "$forms/scheduler"
    qconf -rattr exechost complex_values slots=4,gpu=2,mem_free=16G,ram_free=16G "$host"
    # A busy machine must not close the queue.
    qconf -sq | awk -v OFS=' ' '
        BEGIN { set["qname"] = "all.q"; set["hostlist"] = "@allhosts"; set["load_thresholds"] = "NONE"
                set["slots"] = 4; set["shell"] = "/bin/bash"; set["notify"] = "00:00:05" }
        $1 in set { $0 = $1 " " set[$1] }
        { print }' >"$forms/queue"
    qconf -Aq "$forms/queue"
}

host_known() { qconf -sel | grep -Fxq "$host"; }
queue_ready() { qstat -f | grep -Eq "^all\.q@$host .*$SGE_ARCH *\$"; }

# or_die WHAT COMMAND…: the daemons' own words if it does not come true within 30 s.
or_die() {
    within 30 "${@:2}" && return
    tail -n 20 "$dir"/log/* "$dir"/spool/*/messages "$dir"/spool/execd/*/messages >&2 2>/dev/null || true
    die "$1 after 30 s; see $dir/spool"
}

start() {
    local address
    need_root
    address=$(own_address)
    open_directory
    hold
    one_start
    need_packages gridengine-master gridengine-exec gridengine-client gcc libc6-dev msmtp-mta
    [ -f "$dir/cell_written" ] || write_cell "$address"
    use_environment
    if ! alive sge_qmaster; then
        # A host that has lost its master looks for it again only after a minute. Jobs outlive its daemon.
        end_daemon KILL sge_execd
        rm -f "$dir/sge_qmaster.pid"
        launch LD_PRELOAD="$dir/pin.so" "$programs_dir/sge_qmaster"
    fi
    or_die "the master does not answer" qconf -sh
    if ! alive sge_execd; then
        rm -f "$dir/sge_execd.pid"
        launch LD_PRELOAD="$dir/pin.so" "$programs_dir/sge_execd"
    fi
    or_die "the host is not known" host_known
    qconf -sq all.q >/dev/null 2>&1 || configure_queue >"$dir/log/queue.log" 2>&1 ||
        { cat "$dir/log/queue.log" >&2; die "cannot configure the queue"; }
    or_die "the queue is not ready" queue_ready
    client_environment
}

no_jobs() { [ -z "$(qstat -u '*')" ]; }

stop() {
    local signal=TERM
    [ -d "$dir" ] || return 0
    hold
    if [ -f "$dir/cell_written" ]; then
        use_environment
        # Jobs outlive their daemons.
        if alive sge_qmaster && alive sge_execd && ! no_jobs; then
            timeout 5 qdel -f -u '*' >/dev/null 2>&1 || true
            within 8 no_jobs || true
        fi
        # A master that closes by itself takes five to eight seconds.
        if [ "$purge" = true ]; then signal=KILL; fi
        end_daemon "$signal" sge_execd
        end_daemon "$signal" sge_qmaster
        end_left "SGE_JOB_SPOOL_DIR=$dir/"
        end_left "$mark=$dir"
    fi
    purge_directory
}

"$action"
