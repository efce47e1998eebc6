#!/usr/bin/env perl
# Runs a command, or n of them, as an array of Slurm and waits for the end.
#
#   slurm.pl [options] [JOB=1:n] [options] LOG command args...
#
# The call, the words, the logs, --resume and the exit codes are those of run.pl (see run.pl --help). What is added
# to sbatch for --mem, --num-threads, --gpu, --time and further options stands in conf/slurm.conf (of
# the working directory, else of the project) or the file that --config names, in Kaldi's grammar:
#
#   command sbatch --export=ALL
#   option mem=* --mem=$0
#   option gpu=0
#   option gpu=* --partition=gpu --gres=gpu:$0
#   default gpu=0
#
# Without a file: --mem, --cpus-per-task, --time, --gres=gpu:N. Tasks run in this directory with this environment,
# but for the variables of this host and session; they are not shown to other users.
#
# A task succeeds if its command says so; its exit status is written to LOGDIR/.dispatch. For tasks that end in
# another way Slurm is asked every two seconds: the cause is reported (cancelled, time limit, out of memory, node
# lost, can never run) with the command that runs only what failed. While a task runs, LOG is a link to the
# log of the attempt. Tasks of lost nodes are tried again with --retries.
#
# INT, TERM and HUP, the end of the caller or of DISPATCH_DRIVER_PID cancel the array; so does a guard if
# slurm.pl is killed.
#
# Exit code: 0 all tasks succeeded; 1 a task failed, the submission was refused, or the scheduler could not be
# reached for --submit-timeout seconds; 2 stopped by a signal; 255 an option, the range or the configuration
# cannot be understood, or slurm.pl itself failed. Kaldi's -l, -q, -sync, -pe and -V have no effect here.

use strict;
use warnings;
use Cwd ();
use File::Basename ();
use lib File::Basename::dirname(Cwd::abs_path(__FILE__)) . '/perl';
use Dispatch::Cluster qw(dispatch);
use Dispatch::Program qw(run_program);
use Dispatch::Slurm;

run_program(File::Basename::basename($0), sub { dispatch('Dispatch::Slurm', __FILE__, @ARGV) });
