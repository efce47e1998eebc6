package Dispatch::Verdict;

# What became of a task, from two witnesses: the report that its attempt left, and the scheduler.
#
# A task here has submission, number, id and what has been seen of it: result (the report of a failure) with
# result_at, seen (the scheduler's last entry), gone_at and never_at (since when). Entries are those of
# Dispatch::Slurm. A verdict is { status } or { cause, said }, with
#   lost       its node failed: it may be tried again
#   cancel     it would stay at the scheduler for ever

use strict;
use warnings;
use Dispatch::Process qw(now);
use Exporter 'import';
our @EXPORT_OK = qw(verdict_on verdict_of_result);

my $SLOW_FILES = 30;    # seconds for a report to appear when the scheduler says "completed"
my $NO_RESULT = 5;      # ... and when it says anything else, or nothing
my $NEVER = 4;          # seconds for which a task must be found impossible to run
my $LATE_WORD = 8;      # seconds after a failure for the scheduler to say that the task ended

# The verdict on $task in the light of the scheduler's $entry (undef: it does not know the task any more), or
# undef while it is open. $post_mortem->(task, kind) asks the scheduler for more: { cause, said, lost } or undef.
sub verdict_on {
    my ($task, $entry, $post_mortem) = @_;
    my $kind = $entry ? $entry->{kind} : 'gone';
    my $before = $task->{seen};
    $task->{seen} = $entry if $entry;
    delete $task->{never_at} if $kind ne 'never';
    delete $task->{gone_at} if $kind ne 'gone' && $kind ne 'ended';
    # What ended by itself while the scheduler was away, it may call cancelled when it is back.
    return $entry if $kind eq 'ended' && defined $entry->{cause} && !($task->{result} && $task->{unwatched});
    if ($kind eq 'ended' || $kind eq 'gone') {
        return verdict_of_result($task) if $task->{result};
        $task->{gone_at} //= now();
        return without_result($task, $entry, $before, $post_mortem);
    } elsif ($kind eq 'error') {
        return { %{ $post_mortem->($task, 'error') }, cancel => 1 };
    } elsif ($kind eq 'never') {
        $task->{never_at} //= now();
        return undef if now() < $task->{never_at} + $NEVER;
        return { cause => 'can never run', said => $entry->{said}, cancel => 1 };
    } elsif ($kind eq 'waiting' && $task->{result} && !$task->{unwatched}) {
        # The scheduler starts it again; what the attempt before had to say does not count. (One that was away
        # may not know yet that the task has run at all.)
        delete @$task{qw(result result_at unwatched)};
    } elsif ($kind ne 'waiting' && $task->{result} && now() > $task->{result_at} + $LATE_WORD
        && !has_begun($task)) {
        return verdict_of_result($task);
    }
    return undef;
}

# What the failed attempt itself said, which also names the attempt.
sub verdict_of_result {
    my ($task) = @_;
    my $result = $task->{result};
    return { status => $result->{status}, attempt => $result->{attempt} } if defined $result->{status};
    my $said = "on $result->{host}: " . ($result->{problem} // 'it does not say why');
    return { cause => 'could not be run', said => $said, attempt => $result->{attempt} };
}

# Does an attempt run, as far as its files tell?
sub has_begun {
    my ($task) = @_;
    return !!keys %{ $task->{submission}->attempts($task->{number}) };
}

# A task that is over without a report: is there a cause, or is it worth to wait a little longer?
sub without_result {
    my ($task, $entry, $before, $post_mortem) = @_;
    my $waited = now() - $task->{gone_at};
    my $more = $post_mortem->($task, 'gone');
    return $more if $more && $waited >= 1 && $more->{cause} ne 'ended without a result';
    my $completed = $entry && $entry->{said} =~ /\bCOMPLETED\b/;
    # Nothing can come any more where there is no directory for it.
    my $patience = !-d $task->{submission}{directory} ? 0 : $completed ? $SLOW_FILES : $NO_RESULT;
    return undef if $waited < $patience;
    my $waiting = !$before || $before->{kind} =~ /\A(?:waiting|held)\z/;
    my $never_began = !$entry && !$more && $waiting && !has_begun($task);
    my $said = $entry ? $entry->{said} : $more ? $more->{said}
        : 'gone from the queue' . ($before ? ", last seen: $before->{said}" : '');
    my $words = $task->{submission}->scheduler_output($task) =~ s/\s+/ /gr =~ s/ \z//r;
    $said .= "; $words" if $words ne '';
    return { cause => 'cancelled or lost in the queue', said => $said } if $never_began;
    $said .= "; it wrote nothing to $task->{submission}{directory}" if !has_begun($task);
    return { cause => 'ended without a result', said => $said };
}

1;
