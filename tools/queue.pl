#!/usr/bin/env perl
# Runs a command, or n of them, as an array of Grid Engine and waits for the end.
#
#   queue.pl [options] [JOB=1:n] [options] LOG command args...
#
# The call, the words, the logs, --resume and the exit codes are those of run.pl (see run.pl --help). What is added
# to qsub for --mem, --num-threads, --gpu, --time (the value is in seconds there) and further options stands in
# conf/queue.conf (of the working directory, else of the project) or the file that --config names, in Kaldi's
# grammar:
#
#   command qsub -v PATH -S /bin/bash
#   option mem=* -l mem_free=$0,ram_free=$0
#   option gpu=0
#   option gpu=* -l gpu=$0 -q gpu.q
#   default gpu=0
#
# Without a file: -l mem_free,ram_free, -pe smp N for more than one thread, -l h_rt, -l gpu=N. Tasks run in this
# directory with this environment, but for the variables of this host and session; they are not shown to
# other users.
#
# A task succeeds if its command says so; its exit status is written to LOGDIR/.dispatch. For tasks that end in
# another way Grid Engine is asked every two seconds: the cause is reported (deleted, time limit, error state,
# host lost) with the command that runs only what failed. A request that no host can ever meet is refused
# at once (-w e; write another -w into the configuration to queue it). While a task runs, LOG is a link to the
# log of the attempt. Tasks of lost hosts are tried again with --retries.
#
# INT, TERM and HUP, the end of the caller or of DISPATCH_DRIVER_PID delete the array; so does a guard if
# queue.pl is killed.
#
# Exit code: 0 all tasks succeeded; 1 a task failed, the submission was refused, or the scheduler could not be
# reached for --submit-timeout seconds; 2 stopped by a signal; 255 an option, the range or the configuration
# cannot be understood, or queue.pl itself failed. Kaldi's -l, -q and -pe go to qsub; -sync and -V have no
# effect.

use strict;
use warnings;
use Cwd ();
use File::Basename ();
use lib File::Basename::dirname(Cwd::abs_path(__FILE__)) . '/perl';
use Dispatch::Cluster qw(dispatch);
use Dispatch::GridEngine;
use Dispatch::Program qw(run_program);

run_program(File::Basename::basename($0), sub { dispatch('Dispatch::GridEngine', __FILE__, @ARGV) });
