# shellcheck shell=bash disable=SC2034
# Which dispatcher runs what, and the memory, threads and time that each kind of work needs. The stages source this and add what
# they know themselves: $train_cmd --gpu "$ngpu" LOG command, $dump_cmd JOB=1:"$nj" LOG command.
#
#   cmd_backend=local    this machine, through tools/run.pl
#   cmd_backend=slurm    Slurm, through tools/slurm.pl; conf/slurm.conf describes the cluster (docs/cluster.md)
#   cmd_backend=sge      Grid Engine, through tools/queue.pl; the same with conf/queue.conf
#
# Set it, or any of the needs below, in the environment or here.

cmd_backend=${cmd_backend:-local}

# Stage 2: reads, resamples and writes audio; one thread a job, --nj jobs.
dump_needs=${dump_needs:---mem 2G --num-threads 1 --time 12:00:00}
# Stages 3 and 4, and teacher pretraining: one job, with all processors of this machine or train_threads of a cluster. --notice: so
# long before the limit a training is told to save; time for a step, a validation and a checkpoint.
train_needs=${train_needs:---mem 8G --time 2-00:00:00 --notice 600}
train_threads=${train_threads:-4}
# Stage 5: embeddings; one thread a job, --nj jobs.
decode_needs=${decode_needs:---mem 4G --num-threads 1 --time 12:00:00}
# Stage 7: one job, in which --nj processes quantise the ONNX graph and check it.
export_needs=${export_needs:---mem 8G --time 12:00:00}

case $cmd_backend in
    local) _dispatcher=run.pl ;;
    slurm) _dispatcher=slurm.pl ;;
    sge) _dispatcher=queue.pl ;;
    *)
        echo "cmd.sh: unknown cmd_backend '$cmd_backend'; there are: local, slurm, sge" >&2
        return 1
        ;;
esac
# No word of our commands is meant for a shell, whatever a file is called.
_dispatcher="$_dispatcher --operators false"
# A training that is told to stop writes a checkpoint first.
train_cmd="$_dispatcher $train_needs --kill-wait 60"
if [ "$cmd_backend" != local ]; then
    train_cmd="$train_cmd --num-threads $train_threads"
    # Tasks of an array may run again: what they write counts only when it is complete.
    _dispatcher="$_dispatcher --retries 2"
fi
dump_cmd="$_dispatcher $dump_needs"
decode_cmd="$_dispatcher $decode_needs"
export_cmd="$_dispatcher $export_needs"
unset _dispatcher
