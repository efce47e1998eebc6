package Dispatch::Report;

# What the user reads when tasks failed: how many, which, why, the end of their logs, and the command that
# runs only them again.

use strict;
use warnings;
use Exporter 'import';
use Dispatch::CommandLine qw(compress);
use Dispatch::TaskLog qw(describe_status exit_code last_lines);
use Dispatch::Words qw(quote substitute);
our @EXPORT_OK = qw(cause_of report_failures);

my $LOGS_SHOWN = 3;
my $LINES_SHOWN = 10;

# Lines for the failed tasks @$failed ({ number, log, status, cause, said } each; see cause_of) of the call $call
# with $total tasks, run by $program.
sub report_failures {
    my ($program, $call, $total, $failed) = @_;
    my @lines = $call->{range} ? summary_of_range($call, $total, $failed)
        : 'job failed' . (defined $failed->[0]{cause} ? ': ' : ' with ') . cause_of($failed->[0])
        . ", log is in $failed->[0]{log}";
    push @lines, one_word_hint($call, $failed);
    for my $task (@$failed[0 .. ($#$failed < $LOGS_SHOWN ? $#$failed : $LOGS_SHOWN - 1)]) {
        push @lines, tail_of($task);
    }
    my $aim = @$failed < $total ? 'to run only what failed' : 'to run it again';
    push @lines, "$aim: " . rerun_command($program, $call, $failed);
    (my $name = $program) =~ s{.*/}{};
    return map { "$name: $_" } @lines;
}

# Why a task failed: the cause in words with what the scheduler said, where it knows more than the status, else
# what the status means.
sub cause_of {
    my ($task) = @_;
    my $cause = kind_of($task);
    return defined $task->{said} ? "$cause ($task->{said})" : $cause;
}

sub kind_of {
    my ($task) = @_;
    return $task->{cause} // describe_status($task->{status});
}

sub summary_of_range {
    my ($call, $total, $failed) = @_;
    my (%numbers, %first);
    for my $task (@$failed) {
        my $kind = kind_of($task);
        push @{ $numbers{$kind} }, $task->{number};
        # The scheduler's words differ from task to task in nodes and times; one example is enough.
        $first{$kind} //= $task;
    }
    my $logs = substitute($call->{log}, $call->{range}{name}, '*');
    my $causes = join '; ', map { compress(@{ $numbers{$_} }) . ' (' . cause_of($first{$_}) . ')' }
        sort { $numbers{$a}[0] <=> $numbers{$b}[0] } keys %numbers;
    return (@$failed . " / $total failed, log is in $logs", "failed tasks: $causes");
}

sub one_word_hint {
    my ($call, $failed) = @_;
    my @command = @{ $call->{command} };
    return () if @command > 1 || $command[0] !~ /\s/ || exit_code($failed->[0]{status} // 0) != 127;
    return 'the whole command is one word: write it as words, or as bash -c ' . quote($command[0]);
}

sub tail_of {
    my ($task) = @_;
    my @tail = last_lines($task->{log}, $LINES_SHOWN);
    return "$task->{log} has no output" if !@tail;
    return ("$task->{log} ends with", map { "    $_" } @tail);
}

sub rerun_command {
    my ($program, $call, $failed) = @_;
    my @range = $call->{range} ? "$call->{range}{name}=" . compress(map { $_->{number} } @$failed) : ();
    return join ' ', quote($program), (map { quote($_) } @{ $call->{head} }), @range,
        map { quote($_) } $call->{log}, @{ $call->{command} };
}

1;
