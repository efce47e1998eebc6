# shellcheck shell=bash disable=SC2034
# Which dispatcher runs what, and what each kind of work needs: the one place for memory and threads. Sourced
# by the stages, which add what they know themselves: $train_cmd --gpu "$ngpu" LOG command, $dump_cmd
# JOB=1:"$nj" LOG command.
#
# cmd_backend=local: this machine, through tools/run.pl. Set cmd_backend in the environment or before sourcing
# this file.

cmd_backend=${cmd_backend:-local}

# Stage 2: reads, resamples and writes audio; one thread a job, --nj jobs.
_dump_needs="--mem 2G --num-threads 1"
# Stages 3 and 4, and teacher pretraining: one job with all processors.
_train_needs="--mem 8G"
# Stage 5: embeddings; one thread a job, --nj jobs.
_decode_needs="--mem 4G --num-threads 1"

case $cmd_backend in
    local)
        # No word of our commands is meant for a shell, so none may act, whatever a file is called.
        _dispatcher="run.pl --operators false"
        dump_cmd="$_dispatcher $_dump_needs"
        # A training that is told to stop writes a checkpoint first.
        train_cmd="$_dispatcher $_train_needs --kill-wait 60"
        decode_cmd="$_dispatcher $_decode_needs"
        ;;
    *)
        echo "cmd.sh: unknown cmd_backend '$cmd_backend'; there is: local" >&2
        return 1
        ;;
esac
unset _dump_needs _train_needs _decode_needs _dispatcher
