package Dispatch::LocalTasks;

# Runs tasks on this machine, so many at a time, each in a process group of its own.
#
# A task is { number, log, words, fingerprint }; run() adds status (as wait gives it). A task is over when its
# first process has ended; what it left behind in its group is killed, as a cluster does. So no process of a
# task writes any more once it counts as done.

use strict;
use warnings;
use POSIX qw(:signal_h :sys_wait_h);
use Dispatch::Finished qw(forget remember);
use Dispatch::Guard;
use Dispatch::Process qw(exec_words group_alive kill_group now pause);
use Dispatch::TaskLog qw(write_header write_footer);
use Dispatch::Words qw(display);

my @STOP_SIGNALS = qw(INT TERM HUP);
my $TICK = 0.1;    # seconds between looks at stop requests; the end of a task is noticed at once

# %arg: limit (tasks at a time), threads (of each; for the log), export_threads, operators, kill_wait
# (seconds), gpus (list of devices) and gpus_each.
sub new {
    my ($class, %arg) = @_;
    return bless { %arg, running => {}, gpus => [@{ $arg{gpus} }] }, $class;
}

# Runs @$tasks. $stop_request->() says '' (go on), 'TERM' (end the tasks, kill them after kill_wait) or 'KILL'
# (kill them). Returns true if all tasks ran to their end, false if it was stopped; then no process of a task
# is left either.
sub run {
    my ($self, $tasks, $stop_request) = @_;
    # A handler makes the end of a child cut the sleep short.
    local $SIG{CHLD} = sub { };
    $self->{guard} = Dispatch::Guard->start(\&kill_groups);
    my $complete = eval { $self->work_off($tasks, $stop_request) };
    if (!$complete) {
        my $error = $@;
        $self->stop($error ? sub { 'KILL' } : $stop_request);
        die $error if $error;
    }
    $self->{guard}->dismiss;
    return $complete;
}

# Starts and collects until all is done (true) or a stop is asked for (false).
sub work_off {
    my ($self, $tasks, $stop_request) = @_;
    my @waiting = @$tasks;
    while (@waiting || %{ $self->{running} }) {
        return 0 if $stop_request->();
        while (@waiting && keys %{ $self->{running} } < $self->{limit}) {
            $self->start(shift @waiting);
        }
        $self->collect(0) or pause($TICK);
    }
    return 1;
}

sub start {
    my ($self, $task) = @_;
    forget($task->{log});
    write_header($task->{log}, display($self->{operators}, @{ $task->{words} }));
    $task->{gpus} = [splice @{ $self->{gpus} }, 0, $self->{gpus_each}];
    $task->{began} = now();
    # A signal between fork and exec would meet the dispatcher's handlers in the child and be lost.
    my $signals = POSIX::SigSet->new(SIGINT, SIGTERM, SIGHUP);
    sigprocmask(SIG_BLOCK, $signals);
    my $pid = fork // die "cannot start a process: $!\n";
    $self->become($task, $signals) if $pid == 0;
    # Both sides set the group, so that it exists whoever comes first.
    setpgrp $pid, $pid;
    $task->{group} = $pid;
    $self->{running}{$pid} = $task;
    sigprocmask(SIG_UNBLOCK, $signals);
    return;
}

# The child: turns into the task's command.
sub become {
    my ($self, $task, $signals) = @_;
    setpgrp 0, 0;
    $self->{guard}->add($$);
    $ENV{OMP_NUM_THREADS} = $self->{threads} if $self->{export_threads};
    $ENV{CUDA_VISIBLE_DEVICES} = join ',', @{ $task->{gpus} } if @{ $task->{gpus} };
    open STDIN, '<', '/dev/null';
    my $opened = open(STDOUT, '>>', $task->{log}) && open(STDERR, '>&', \*STDOUT);
    $SIG{$_} = 'DEFAULT' for grep { ($SIG{$_} // '') ne 'IGNORE' } @STOP_SIGNALS;
    $SIG{PIPE} = 'DEFAULT';
    sigprocmask(SIG_UNBLOCK, $signals);
    exec_words($self->{operators}, @{ $task->{words} }) if $opened;
    print STDERR "cannot open the log $task->{log}: $!\n";
    POSIX::_exit(127);
}

# Takes note of ended processes; returns how many tasks are over now. With $patient, what a task left in its
# group may still end by itself.
sub collect {
    my ($self, $patient) = @_;
    my $over = 0;
    while ((my $pid = waitpid -1, WNOHANG) > 0) {
        my $status = $?;
        if ($pid == $self->{guard}->pid) {
            $self->{guard} = Dispatch::Guard->start(\&kill_groups, keys %{ $self->{running} });
        } elsif ($self->{running}{$pid}) {
            $self->{running}{$pid}{status} = $status;
        }
    }
    for my $task (grep { defined $_->{status} } values %{ $self->{running} }) {
        next if $patient && group_alive($task->{group});
        kill_group($task->{group});
        $self->finish($task);
        $over++;
    }
    return $over;
}

sub finish {
    my ($self, $task) = @_;
    $self->{guard}->remove($task->{group});
    delete $self->{running}{ $task->{group} };
    push @{ $self->{gpus} }, @{ $task->{gpus} };
    my $seconds = int(now() - $task->{began});
    write_footer($task->{log}, $task->{status}, $seconds, $self->{threads})
        or warn "cannot write to the log $task->{log}: $!\n";
    remember($task->{log}, $task->{fingerprint}) if $task->{status} == 0;
    return;
}

# What the guard does with the process groups that are left. It waits for their end: a lock that it has
# inherited must not be free before.
sub kill_groups {
    kill KILL => map { -$_ } @_;
    kill_group($_) for @_;
    return;
}

# Ends all running tasks and waits for them.
sub stop {
    my ($self, $stop_request) = @_;
    my $deadline = now() + $self->{kill_wait};
    kill TERM => map { -$_ } keys %{ $self->{running} } if $stop_request->() eq 'TERM';
    while (%{ $self->{running} }) {
        my $patient = now() < $deadline && $stop_request->() eq 'TERM';
        kill KILL => map { -$_ } keys %{ $self->{running} } if !$patient;
        $self->collect($patient) or pause($TICK / 5);
    }
    return;
}

1;
