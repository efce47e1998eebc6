package Dispatch::ClusterTasks;

# Runs tasks as arrays of a scheduler and finds out what became of each.
#
# Two sources are looked at: the status files that the attempts write, and the scheduler. A success in a status
# file counts at once. A failure there waits for the scheduler's word, which may know the cause (time limit,
# memory) or that another attempt follows. What ends without a status file has the cause that the scheduler
# gives.

use strict;
use warnings;
use POSIX qw(:sys_wait_h);
use Dispatch::CommandLine qw(compress);
use Dispatch::Finished qw(forget);
use Dispatch::Guard;
use Dispatch::Process qw(now pause);
use Dispatch::Report qw(cause_of);
use Dispatch::Submission;
use Dispatch::TaskLog qw(write_footer);

my ($FIRST_LOOK, $LONGEST_LOOK) = (0.2, 2);    # seconds between questions to the scheduler
my ($FIRST_NAP, $LONGEST_NAP) = (0.05, 0.5);    # seconds between looks at the status files
my $SLOW_FILES = 30;     # seconds for a status file to appear when the scheduler says "completed"
my $NO_RESULT = 5;       # ... and when it says anything else, or nothing
my $NEVER = 4;           # seconds for which a task must be found impossible to run
my $SILENCE = 12;        # seconds without a sign of life that make a task on a silent host lost
my $LATE_WORD = 8;       # seconds after a failure for the scheduler to say that the task ended
my $FIRST_RETRY = 5;     # seconds before a lost task is tried again, doubled each time

# %arg: scheduler (Dispatch::Scheduler), describe (function: tasks to the arguments of
# Dispatch::Submission->create), retries, kill_wait, say (function for a line to the user).
sub new {
    my ($class, %arg) = @_;
    return bless { %arg, submissions => [] }, $class;
}

# Runs @$tasks ({ number, log, words, ... }), which get a status or a cause; see Dispatch::LocalTasks for
# $stop_request and the value. After a stop, {stuck} is true if some job could not be cancelled.
sub run {
    my ($self, $tasks, $stop_request) = @_;
    return 1 if !@$tasks;
    $self->{tasks} = $tasks;
    $self->{stop_request} = $stop_request;
    $self->{end} = sub { $self->{scheduler}->cancel_by_name(@_) };
    local $SIG{CHLD} = sub { };
    $self->{guard} = Dispatch::Guard->start($self->{end});
    my $complete = eval { $self->work_off };
    my $error = $@;
    # If it may or may not have been submitted, the guard goes on trying to cancel it.
    $self->{stuck} = ref $error && $error->{unknown};
    if (!$self->{stuck} && (!$complete || grep { $_->{left_over} } @$tasks)) {
        $self->{stuck} = !$self->stop;
    }
    if (!$self->{stuck}) {
        $self->{guard}->remove($_->{name}) for @{ $self->{submissions} };
        $self->{guard}->dismiss;
    }
    die $error if !$complete && $error;
    return $complete;
}

sub work_off {
    my ($self) = @_;
    $self->submit(@{ $self->{tasks} });
    my ($nap, $look) = ($FIRST_NAP, $FIRST_LOOK);
    my $next_look = now() + $look;
    while (my @open = grep { !$_->{over} } @{ $self->{tasks} }) {
        return 0 if $self->{stop_request}->();
        $self->keep_guard;
        $self->read_news and $nap = $FIRST_NAP;
        if (now() >= $next_look) {
            $self->ask;
            $look = $look * 1.5 < $LONGEST_LOOK ? $look * 1.5 : $LONGEST_LOOK;
            $next_look = now() + $look;
        }
        my @due = grep { !$_->{over} && defined $_->{retry_at} && now() >= $_->{retry_at} } @open;
        $self->submit(@due) if @due;
        pause($nap);
        $nap = $nap * 1.3 < $LONGEST_NAP ? $nap * 1.3 : $LONGEST_NAP;
    }
    return 1;
}

sub submit {
    my ($self, @tasks) = @_;
    for my $task (@tasks) {
        forget($task->{log});
        # The log of an earlier run would pass for this one's.
        unlink($task->{log}) || $!{ENOENT} or die { code => 1, text => "cannot remove the old log $task->{log}: $!" };
        delete @$task{qw(retry_at result result_at gone_at never_at seen)};
    }
    my $submission = Dispatch::Submission->create($self->{describe}->(@tasks));
    push @{ $self->{submissions} }, $submission;
    $self->{guard}->add($submission->{name});
    eval { $self->{scheduler}->submit($submission, $self->{stop_request}); 1 } or $self->refused($submission, $@);
    $_->{submitted_at} = now() for @tasks;
    return;
}

# Without the job there is nothing to cancel.
sub refused {
    my ($self, $submission, $error) = @_;
    if (!ref $error || !$error->{unknown}) {
        pop @{ $self->{submissions} };
        $self->{guard}->remove($submission->{name});
        $submission->remove(1);
    }
    die $error;
}

sub keep_guard {
    my ($self) = @_;
    return if waitpid($self->{guard}->pid, WNOHANG) == 0;
    $self->{guard} = Dispatch::Guard->start($self->{end}, map { $_->{name} } @{ $self->{submissions} });
    return;
}

# Takes in what the tasks have written; returns how many reports there were.
sub read_news {
    my ($self) = @_;
    my %task = map { $_->{number} => $_ } grep { !$_->{over} } @{ $self->{tasks} };
    my $count = 0;
    for my $submission (@{ $self->{submissions} }) {
        for my $news ($submission->news) {
            my ($number, $attempt, $report) = @$news;
            my $task = $task{$number} or next;
            next if $task->{over};
            $count++;
            $report->{attempt} = $attempt;
            if (defined $report->{status} && $report->{status} == 0) {
                $task->{left_over} = 1
                    if $submission != $task->{submission} || grep { $_ ne $attempt } keys %{ $submission->attempts($number) };
                $self->finish($task, status => 0, attempt => $attempt);
            } elsif ($submission == $task->{submission}) {
                $task->{result} = $report;
                $task->{result_at} = now();
            }
        }
    }
    return $count;
}

# Asks the scheduler and draws the conclusions.
sub ask {
    my ($self) = @_;
    my @open = grep { !$_->{over} && !defined $_->{retry_at} } @{ $self->{tasks} };
    my %used = map { $_->{submission}{name} => $_->{submission} } @open;
    return if !%used;
    my $view = $self->{scheduler}->look(sub { $self->read_news }, values %used);
    if (!$view) {
        for my $task (grep { !$_->{over} && $_->{result} && now() > $_->{result_at} + $NO_RESULT } @open) {
            $self->fail_by_result($task);
        }
        return;
    }
    # What ended before the answer has had its time to be written.
    $_->refresh for values %used;
    $self->read_news;
    my @running;
    for my $task (grep { !$_->{over} } @open) {
        my $ids = $view->{ $task->{submission}{job} };
        my $entry = $ids->{ $task->{id} } // $ids->{'*'};
        $self->judge($task, $entry);
        push @running, { task => $task, entry => $entry }
            if !$task->{over} && !$task->{result} && $entry && $entry->{kind} eq 'running';
    }
    $self->tell_held(grep { !$_->{over} && ($_->{seen}{kind} // '') eq 'held' } @open);
    $self->look_for_silence(@running) if @running;
    return;
}

# One task in the light of the scheduler's $entry (undef: it does not know the task any more).
sub judge {
    my ($self, $task, $entry) = @_;
    my $kind = $entry ? $entry->{kind} : 'gone';
    my $before = $task->{seen};
    $task->{seen} = $entry if $entry;
    delete $task->{never_at} if $kind ne 'never';
    delete $task->{gone_at} if $kind ne 'gone' && $kind ne 'ended';
    if ($kind eq 'ended' && defined $entry->{cause}) {
        return $self->lose($task, $entry);
    } elsif ($kind eq 'ended' || $kind eq 'gone') {
        return $self->fail_by_result($task) if $task->{result};
        $task->{gone_at} //= now();
        return $self->explain($task, $entry, $before);
    } elsif ($kind eq 'error') {
        my $more = $self->{scheduler}{backend}->can('post_mortem')->($task, 'error');
        return $self->drop($task, $more);
    } elsif ($kind eq 'never') {
        $task->{never_at} //= now();
        $self->drop($task, { cause => 'can never run', said => $entry->{said} }) if now() >= $task->{never_at} + $NEVER;
    } elsif ($kind eq 'waiting' && $task->{result}) {
        # The scheduler starts it again; what the attempt before had to say does not count.
        delete @$task{qw(result result_at)};
    } elsif ($task->{result} && now() > $task->{result_at} + $LATE_WORD && !$self->runs_again($task)) {
        $self->fail_by_result($task);
    }
    return;
}

# Is there a living attempt after the one that failed?
sub runs_again {
    my ($self, $task) = @_;
    return !!keys %{ $task->{submission}->attempts($task->{number}) };
}

# A task that is over without a result: is there a cause, is it worth to wait a little longer?
sub explain {
    my ($self, $task, $entry, $before) = @_;
    my $waited = now() - $task->{gone_at};
    my $more = $self->{scheduler}{backend}->can('post_mortem')->($task, 'gone');
    return $self->lose($task, $more) if $more && $waited >= 1 && $more->{cause} ne 'ended without a result';
    my $completed = $entry && $entry->{said} =~ /\bCOMPLETED\b/;
    return if $waited < ($completed ? $SLOW_FILES : $NO_RESULT);
    my $never_began = !$entry && (!$before || $before->{kind} =~ /\A(?:waiting|held)\z/)
        && !keys %{ $task->{submission}->attempts($task->{number}) };
    my $said = $entry ? $entry->{said} : $more ? $more->{said}
        : 'gone from the queue' . ($before ? ", last seen: $before->{said}" : '');
    my $words = $task->{submission}->scheduler_output($task) =~ s/\s+/ /gr;
    $said .= "; $words" if $words ne '';
    return $self->lose($task, { cause => $never_began ? 'cancelled or lost in the queue' : 'ended without a result', said => $said });
}

# A task that the scheduler ended or lost: to be tried again if its node was lost, else failed.
sub lose {
    my ($self, $task, $why) = @_;
    if ($why->{lost} && ($task->{retries} // 0) < $self->{retries}) {
        $task->{retries}++;
        my $nap = $FIRST_RETRY * 2**($task->{retries} - 1);
        $self->{say}->("task $task->{number}: $why->{cause} ($why->{said}); trying again in $nap s ($task->{retries} of $self->{retries})");
        $task->{retry_at} = now() + $nap;
        $task->{left_over} = 1;
        return;
    }
    return $self->finish($task, cause => $why->{cause}, said => $why->{said});
}

# A task that would stay at the scheduler for ever.
sub drop {
    my ($self, $task, $why) = @_;
    $self->{scheduler}->cancel($task->{submission}, $task) or $task->{left_over} = 1;
    return $self->finish($task, cause => $why->{cause}, said => $why->{said});
}

sub fail_by_result {
    my ($self, $task) = @_;
    my $result = $task->{result};
    my %how = defined $result->{problem} ? (cause => 'could not be run', said => "on $result->{host}: $result->{problem}")
        : (status => $result->{status});
    return $self->finish($task, %how, attempt => $result->{attempt});
}

# Takes note of the end of a task: status or cause, and the attempt that this is about.
sub finish {
    my ($self, $task, %how) = @_;
    @$task{ keys %how } = values %how;
    $task->{over} = 1;
    $self->settle_log($task);
    return if !$how{status} && !defined $how{cause};
    my $others = grep { !$_->{over} } @{ $self->{tasks} };
    $self->{say}->("task $task->{number} failed: " . cause_of($task) . '; the others go on') if $others;
    return;
}

# The log is a link still if its attempt could not end by itself, or another one took it over.
sub settle_log {
    my ($self, $task) = @_;
    my $link = readlink $task->{log} or return;
    my $own = defined $task->{attempt} ? Dispatch::Submission::attempt_log($task, $task->{attempt})
        : $task->{log} =~ s{[^/]*\z}{}r . $link;
    rename $own, $task->{log};
    return;
}

# Says once which tasks somebody holds back, and how to let them go.
sub tell_held {
    my ($self, @held) = @_;
    my $numbers = compress(map { $_->{number} } @held);
    return if $numbers eq ($self->{told_held} // '');
    $self->{told_held} = $numbers;
    return if !@held;
    my $hint = $self->{scheduler}{backend}->release_hint($held[0]{submission}{job});
    $self->{say}->("tasks $numbers are held ($held[0]{seen}{said}); release them with: $hint");
    return;
}

# Running tasks on hosts that do not answer, which have shown no sign of life for a while, are lost.
sub look_for_silence {
    my ($self, @running) = @_;
    return if !$self->{scheduler}{backend}->can('watches_hosts');
    for my $one (@running) {
        my $task = $one->{task};
        my $beats = join ' ', map { join ':', @$_ } sort_pairs($task->{submission}->attempts($task->{number}));
        next if defined $task->{beats} && $task->{beats} eq $beats;
        @$task{qw(beats beat_at)} = ($beats, now());
    }
    my @silent = grep { now() > $_->{task}{beat_at} + $SILENCE } @running or return;
    for my $one ($self->{scheduler}{backend}->can('lost_tasks')->(@silent)) {
        $self->{scheduler}->cancel($one->{task}{submission}, $one->{task});
        $self->lose($one->{task}, { cause => 'node lost', lost => 1, said => "$one->{entry}{said}, which does not answer" });
    }
    return;
}

sub sort_pairs {
    my ($pairs) = @_;
    return map { [$_, $pairs->{$_}] } sort keys %$pairs;
}

# Cancels everything and waits until it is gone; true if it is.
sub stop {
    my ($self) = @_;
    my $deadline = now() + $self->{kill_wait} + 60;
    my @left = @{ $self->{submissions} };
    my $next_try = now();
    while (@left && now() < $deadline) {
        if (now() >= $next_try) {
            $self->{scheduler}->cancel($_) for @left;
            $next_try = now() + 5;
        }
        my ($known, $unknown) = ([grep { defined $_->{job} } @left], [grep { !defined $_->{job} } @left]);
        my $view = @$known ? $self->{scheduler}->look(undef, @$known) : {};
        if ($view) {
            @left = grep { active($view->{ $_->{job} }) } @$known;
            push @left, grep { ($self->{scheduler}{backend}->can('find_job')->($_->{name}) // 'unknown') ne '' } @$unknown;
        }
        pause(0.3) if @left;
    }
    $self->read_news;
    $self->settle_log($_) for grep { !$_->{over} } @{ $self->{tasks} };
    $self->{left} = [map { $_->{job} // $_->{name} } @left];
    return !@left;
}

# Is anything of a job still in the queue or running?
sub active {
    my ($ids) = @_;
    return !!grep { $_->{kind} ne 'ended' } values %$ids;
}

# Removes what the submissions left; after a failure the part that may explain it stays.
sub clean {
    my ($self, $keep) = @_;
    $_->remove($keep) for @{ $self->{submissions} };
    return;
}

1;
