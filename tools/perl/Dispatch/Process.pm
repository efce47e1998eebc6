package Dispatch::Process;

# Processes: a task's bash, process groups and what is left in them, a clock.

use strict;
use warnings;
use POSIX qw(_SC_CLK_TCK);
use Dispatch::Words qw(shell_script);
use Exporter 'import';
our @EXPORT_OK = qw(exec_words group_alive kill_group now pause);

# Seconds on a clock that nobody sets.
sub now {
    my ($ticks) = POSIX::times();
    return $ticks / POSIX::sysconf(_SC_CLK_TCK);
}

# Sleeps; a signal that has a handler ends it early.
sub pause {
    my ($seconds) = @_;
    select undef, undef, undef, $seconds;
    return;
}

# Turns this process into a task's command. Does not return; if bash cannot be started, the process ends.
sub exec_words {
    my ($operators, @words) = @_;
    my ($script, @parameters) = shell_script($operators, @words);
    # pipefail: the failure of any part of a pipe is the task's failure.
    exec { 'bash' } 'bash', '-o', 'pipefail', '-c', $script, 'bash', @parameters
        or print STDERR "cannot start bash: $!\n";
    POSIX::_exit(127);
}

# Kills what is left of a process group, but not this process, and waits for its end, at most a second.
sub kill_group {
    my ($group) = @_;
    for (1 .. 100) {
        return if !group_alive($group);
        kill KILL => $group == getpgrp ? members($group) : -$group;
        pause(0.01);
    }
    return;
}

# Does the process group have a living member besides this process? Dead ones that nobody has collected yet
# do not count where /proc tells.
sub group_alive {
    my ($group) = @_;
    return 0 if !kill 0, -$group;
    return $group != getpgrp if !-r '/proc/self/stat';
    return !!members($group);
}

# The living members of a process group without this process, as /proc tells.
sub members {
    my ($group) = @_;
    my @found;
    for my $path (glob '/proc/[0-9]*/stat') {
        open my $stat, '<', $path or next;
        my $line = <$stat> // next;
        my ($state, undef, $member_of) = split ' ', substr $line, rindex($line, ')') + 1;
        my ($pid) = $line =~ /\A(\d+)/;
        push @found, $pid if $member_of == $group && $state !~ /[ZX]/ && $pid != $$;
    }
    return @found;
}

1;
