#!/usr/bin/env perl
# Runs a command, or n of them, on this machine and waits for the end.
#
#   run.pl [options] [JOB=1:n] [options] LOG command args...
#
# JOB (any name) is replaced by the task's number wherever it occurs in the log's name and in the command; the
# log of more than one task must have it. JOB=3 and JOB=2,5:7 run chosen tasks. Every task writes its output
# to its log; the directory is made.
#
# Arguments stay as they are: blanks, quotes, $ and * mean nothing. A word that is exactly | |& || && ; < > >>
# 2> 2>> 2>&1 or >&2 acts as in bash (write \| and \> as in Kaldi's scripts); --operators false makes these
# ordinary words too. For more shell than that: bash -c '...'. A pipe fails if any of its parts fails. A task
# gets no input, and the caller's environment.
#
# Finished tasks are remembered in LOGDIR/.dispatch/<log's name>.done, which holds the command. With --resume
# true, tasks of which the same command (and --resume-key) succeeded before are left out.
#
# A task ends with everything in its process group. INT, TERM and HUP are passed on as TERM to all tasks, KILL
# after --kill-wait seconds or at a signal that comes two seconds after the first or later (earlier ones are the
# same: a process group's, passed on by scripts); then run.pl ends, too. If the caller (or the process named
# by DISPATCH_DRIVER_PID) dies, the tasks are killed; likewise if run.pl is. So to leave run.pl running behind
# a shell that ends, as with nohup, start the whole pipeline with nohup, or give --die-with-parent false.
#
# Exit code: 0 all tasks succeeded; 1 a task failed, or the call lacks something; 2 stopped by a signal; 255
# an option or the range cannot be understood, or run.pl itself failed. Kaldi's -l, -q, -sync (one value), -pe
# (two) and -V are for submit commands of clusters; here they are taken and have no effect.

use strict;
use warnings;
use Cwd ();
use File::Basename ();
use lib File::Basename::dirname(Cwd::abs_path(__FILE__)) . '/perl';
use Dispatch::CommandLine qw(compress parse_call);
use Dispatch::LocalTasks;
use Dispatch::Program
    qw(common_options conclude print_help run_program stop_requests tasks_of without_finished);

my $OPTIONS = common_options(
    'max-jobs-run' => 'tasks at a time, also -tc; the smallest one given counts; '
        . 'none given: processors / num-threads',
    'gpu' => 'GPUs of a task: each running task gets its own',
    'mem' => 'memory of a task; for clusters, not enforced here',
    'time' => 'longest run time of a task; for clusters, not enforced here',
    'notice' => 'for clusters, has no effect here',
    'config' => 'description of a cluster; must exist, has no effect here',
    'retries' => 'for clusters, has no effect here',
    'submit-timeout' => 'for clusters, has no effect here',
);
my $NAME = File::Basename::basename($0);

# How many tasks may run at a time, and the devices to share among them.
sub concurrency {
    my ($options) = @_;
    my $limit = $options->{'max-jobs-run'} // (int(cpu_count() / $options->{'num-threads'}) || 1);
    my $each = $options->{gpu} or return ($limit);
    my @gpus = gpu_list();
    if (@gpus < $each) {
        warn "--gpu $each, but this machine shows " . @gpus . ": one task at a time\n";
        return (1);
    }
    my $places = int(@gpus / $each);
    return ($places < $limit ? $places : $limit, @gpus);
}

# Processors that this process may run on (at least 1).
sub cpu_count {
    if (open my $status, '<', '/proc/self/status') {
        my ($allowed) = map { /\ACpus_allowed_list:\s*(\S+)/ ? $1 : () } <$status>;
        if (defined $allowed) {
            my $count = 0;
            $count += /\A(\d+)-(\d+)\z/ ? $2 - $1 + 1 : 1 for split /,/, $allowed;
            return $count;
        }
    }
    my $count = qx(getconf _NPROCESSORS_ONLN 2>/dev/null);
    return $count =~ /\A([1-9]\d*)/ ? $1 : 1;
}

# The GPUs as CUDA_VISIBLE_DEVICES names them: that variable's own list if it is set, else what nvidia-smi
# lists.
sub gpu_list {
    return split /,/, $ENV{CUDA_VISIBLE_DEVICES} if defined $ENV{CUDA_VISIBLE_DEVICES};
    my @cards = grep { /\AGPU \d+:/ } qx(nvidia-smi -L 2>/dev/null);
    return 0 .. $#cards;
}

sub main {
    my @arguments = @_;
    return print_help(__FILE__, $OPTIONS) if @arguments && $arguments[0] =~ /\A(?:-h|--help)\z/;
    my $call = parse_call($OPTIONS, @arguments);
    my $options = $call->{options};
    my ($stop_request, $stop_cause) = stop_requests($options->{'die-with-parent'} eq 'true');
    my @all = tasks_of($call);
    my @tasks = without_finished($NAME, $call, @all);
    my ($limit, @gpus) = concurrency($options);
    my $pool = Dispatch::LocalTasks->new(
        limit => $limit,
        threads => $options->{'num-threads'},
        export_threads => $call->{given}{'num-threads'},
        operators => $options->{operators} eq 'true',
        kill_wait => $options->{'kill-wait'},
        gpus => \@gpus,
        gpus_each => $options->{gpu},
    );
    if (!$pool->run(\@tasks, $stop_request)) {
        my @open = map { $_->{number} } grep { !defined $_->{status} } @tasks;
        my $rest = @open ? '; not started: ' . compress(@open) : '';
        print STDERR "$NAME: ", $stop_cause->(), ": stopped the running tasks$rest\n";
        return 2;
    }
    return conclude($0, $call, scalar @all, \@tasks);
}

run_program($NAME, sub { main(@ARGV) });
