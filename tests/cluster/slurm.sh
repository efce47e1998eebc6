#!/usr/bin/env bash
# A Slurm of two nodes on this machine alone, for tests: munge, the controller and two slurmd, bound to 127.0.0.1, all in one
# directory, on ports that are free.
#
#   slurm.sh [options] start DIR     start what does not run; prints the environment of clients, one NAME=value a line
#   slurm.sh [options] stop DIR      end the jobs and the daemons
#
# Needs root. Exit status 77: it cannot run here; stderr says why.
# shellcheck disable=SC2034  # options are read by name
set -euo pipefail

# true: start installs missing packages through apt.
install=true
# true: stop also removes DIR.
purge=false
# Seconds for which the controller remembers a finished job; Slurm's own default.
min_job_age=300
# true: the kernel enforces the memory limits of jobs; false: Slurm looks at them once a second.
cgroup=false

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../tools/parse_options.sh"
. "$here/daemons.sh"
require_bool cgroup
require_int 2 min_job_age
check_call "$@"
export PATH="$PATH:/usr/sbin:/sbin" SLURM_CONF=$dir/slurm.conf
programs=(munged slurmctld slurmd slurmstepd sbatch scontrol squeue scancel perl)
nodes=(n1 n2)

# The cluster's name is in the environment of every job: it must be this cluster's alone.
write_configuration() {
    local ports name host
    read -ra ports < <(free_ports 3)
    [ ${#ports[@]} -eq 3 ] || die "no free ports"
    host=$(hostname -s)
    name=svmixer$(head -c 6 /dev/urandom | od -An -tx1 | tr -d ' \n')
    mkdir -p "$dir"/{state,spool/n1,spool/n2,log}
    (umask 077 && head -c 128 /dev/urandom >"$dir/munge.key")
    # Devices that can be handed out as GPUs: copies of /dev/null.
    mknod "$dir/gpu0" c 1 3
    mknod "$dir/gpu1" c 1 3
    echo "NodeName=n[1-2] Name=gpu File=$dir/gpu[0-1]" >"$dir/gres.conf"
    cat >"$dir/slurm.conf.new" <<END
ClusterName=$name
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
CredType=cred/munge
# A requeued job waits for its credentials to expire: not the usual two minutes.
AuthInfo=socket=$dir/munge.sock,cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$dir/state
SlurmctldPidFile=$dir/slurmctld.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdPidFile=$dir/slurmd-%n.pid
SlurmdLogFile=$dir/log/slurmd-%n.log
SlurmdSpoolDir=$dir/spool/%n
SlurmdTimeout=6
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
MinJobAge=$min_job_age
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$dir/jobcomp.txt
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
GresTypes=gpu
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[1]} CPUs=4 RealMemory=16000 Gres=gpu:2 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[2]} CPUs=4 RealMemory=16000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
END
    if [ "$cgroup" = true ]; then
        printf '%s\n' ProctrackType=proctrack/cgroup TaskPlugin=task/cgroup >>"$dir/slurm.conf.new"
        printf '%s\n' "CgroupPlugin=cgroup/$(cgroup_version)" CgroupMountpoint=/sys/fs/cgroup CgroupAutomount=no \
            ConstrainRAMSpace=yes >"$dir/cgroup.conf"
    else
        printf '%s\n' ProctrackType=proctrack/linuxproc TaskPlugin=task/none \
            JobAcctGatherParams=OverMemoryKill >>"$dir/slurm.conf.new"
    fi
    # Whole or not at all: a start that was killed begins anew.
    mv "$dir/slurm.conf.new" "$dir/slurm.conf"
}

cgroup_version() { if [ -e /sys/fs/cgroup/memory ]; then echo v1; else echo v2; fi; }

# resume_nodes: a controller that lost its last seconds may have put nodes aside.
resume_nodes() {
    local node
    for node in "${nodes[@]}"; do
        if [[ $(sinfo -h -n "$node" -o %T) == drain* ]]; then
            scontrol update NodeName="$node" State=RESUME
        fi
    done
}

nodes_ready() {
    resume_nodes
    [ "$(sinfo -h -N -o %T | grep -Ecx 'idle|mixed|allocated')" -eq "${#nodes[@]}" ]
}

start() {
    local node
    need_root
    if [ "$cgroup" = true ]; then
        mkdir /sys/fs/cgroup/memory/svmixer_probe 2>/dev/null || cannot "no writable cgroup (v1) for memory"
        rmdir /sys/fs/cgroup/memory/svmixer_probe
    fi
    open_directory
    hold
    one_start
    need_packages munge slurmctld slurmd slurm-client
    if ! [ -f "$dir/slurm.conf" ]; then
        # Nothing of a start that was killed is left in the way.
        rm -f "$dir"/{munge.key,gpu0,gpu1}
        write_configuration
    fi
    if ! alive munged; then
        rm -f "$dir"/munge.sock*
        launch munged --key-file="$dir/munge.key" --socket="$dir/munge.sock" --pid-file="$dir/munged.pid" \
            --log-file="$dir/log/munged.log" --seed-file="$dir/munge.seed" --origin=127.0.0.1
    fi
    alive slurmctld || launch slurmctld
    for node in "${nodes[@]}"; do
        alive slurmd "slurmd-$node" || launch slurmd -N "$node"
    done
    if ! within 30 nodes_ready; then
        tail -n 20 "$dir"/log/* >&2
        die "the nodes are not ready after 30 s; logs are in $dir/log"
    fi
    echo "SLURM_CONF=$SLURM_CONF"
}

no_jobs() { [ -z "$(squeue -h)" ]; }

stop() {
    local node name
    [ -d "$dir" ] || return 0
    hold
    if [ -f "$dir/slurm.conf" ]; then
        # Job steps outlive their daemons.
        if alive slurmctld; then
            squeue -h -o %A 2>/dev/null | sort -u | xargs -r timeout 5 scancel 2>/dev/null || true
            within 8 no_jobs || true
        fi
        end_daemon TERM slurmctld
        for node in "${nodes[@]}"; do end_daemon TERM slurmd "slurmd-$node"; done
        end_daemon TERM munged
        name=$(sed -n 's/^ClusterName=//p' "$dir/slurm.conf")
        end_left "SLURM_CLUSTER_NAME=$name"
        end_left "$mark=$dir"
        if [ -f "$dir/cgroup.conf" ]; then
            find /sys/fs/cgroup -depth -type d -path '*/slurm_n[12]*' -exec rmdir {} + 2>/dev/null || true
        fi
    fi
    purge_directory
}

"$action"
