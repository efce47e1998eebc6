package Dispatch::Process;

# Processes: a task's bash, process groups and what is left in them, a clock, this host.
#
# On a cluster every task loads this, as Finished, JobSide, Spec, TaskLog and Words. POSIX takes longer to load than a
# short task to run: it is called in only where Linux does not tell. Fcntl, %! (Errno) and "use warnings" would
# together take as long as these six modules: $^W is on instead.

use strict;
BEGIN { $^W = 1 }
use Dispatch::Words qw(operators_in shell_script);
use Exporter 'import';
our @EXPORT_OK = qw(exec_words group_alive has_ended host_name kill_group now pause);

my $WNOHANG = $^O =~ /\A(?:linux|darwin|freebsd)\z/ ? 1 : do { require POSIX; POSIX::WNOHANG() };

# Seconds on a clock that nobody sets.
sub now {
    if (open my $file, '<', '/proc/uptime') {
        my ($seconds) = split ' ', <$file> // '';
        return $seconds if defined $seconds;
    }
    require POSIX;
    my ($ticks) = POSIX::times();
    return $ticks / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

sub host_name {
    if (open my $file, '<', '/proc/sys/kernel/hostname') {
        my $name = <$file> // '';
        chomp $name;
        return $name if $name ne '';
    }
    require POSIX;
    return (POSIX::uname())[1];
}

# Has the child $pid ended? Then $? is its wait status.
sub has_ended {
    my ($pid) = @_;
    return waitpid($pid, $WNOHANG) != 0;
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
    my $program = $operators && operators_in(@words) ? undef : program_of($words[0]);
    # Without bash in between a short task takes a fifth less.
    exec { $program } @words if defined $program;
    my ($script, @parameters) = shell_script($operators, @words);
    # pipefail: the failure of any part of a pipe is the task's failure.
    exec { 'bash' } 'bash', '-o', 'pipefail', '-c', $script, 'bash', @parameters
        or print STDERR "cannot start bash: $!\n";
    require POSIX;
    POSIX::_exit(127);
}

# The file that bash would run for the command $word and that the system can run by itself; undef if bash has to
# do it: a builtin or function, a script without #!, or to say what is wrong.
sub program_of {
    my ($word) = @_;
    return undef if exists $ENV{"BASH_FUNC_$word%%"};
    my @places = $word =~ m{/} ? $word : map { ($_ eq '' ? '.' : $_) . "/$word" } split /:/, $ENV{PATH} // '', -1;
    my ($path) = grep { -f && -x _ } @places or return undef;
    open my $file, '<', $path or return undef;
    read $file, my $begin, 4;
    return $begin =~ /\A(?:#!|\x7fELF)/ ? $path : undef;
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
    opendir my $processes, '/proc' or return;
    # The system's call first: to read all files there takes longer than a short task.
    for my $pid (grep { /\A\d+\z/ && $_ != $$ && getpgrp($_) == $group } readdir $processes) {
        open my $stat, '<', "/proc/$pid/stat" or next;
        my $line = <$stat> // next;
        my ($state) = split ' ', substr $line, rindex($line, ')') + 1;
        push @found, $pid if $state !~ /[ZX]/;
    }
    return @found;
}

1;
