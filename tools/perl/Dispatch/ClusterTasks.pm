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
use Dispatch::Program qw(cause_of);
use Dispatch::Submission;
use Dispatch::Verdict qw(verdict_of_result verdict_on);

my ($FIRST_LOOK, $LONGEST_LOOK) = (0.2, 2);    # seconds between questions to the scheduler
my ($FIRST_NAP, $LONGEST_NAP) = (0.05, 0.5);    # seconds between looks at the status files
my $UNWATCHED = 5;      # seconds without an answer after which what a task reports is not the scheduler's doing
my $NO_WORD = 5;        # seconds after a failure for a silent scheduler to say something about it
my $SILENCE = 12;       # seconds without a sign of life that make a task on a silent host lost
my $STOP_SECONDS = 60;  # seconds, besides --kill-wait, for cancelled tasks to be gone
my $AWAY_SECONDS = 10;  # ... for a scheduler that does not answer to be told; the guard goes on trying
my $FAREWELL = 10;      # ... if nobody wants to wait for that
my $FIRST_RETRY = 5;    # seconds before a lost task is tried again, doubled each time

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
        unlink($task->{log}) || $!{ENOENT}
            or die { code => 1, text => "cannot remove the old log $task->{log}: $!" };
        delete @$task{qw(retry_at result result_at unwatched gone_at never_at seen)};
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
                my $others = grep { $_ ne $attempt } keys %{ $submission->attempts($number) };
                $task->{left_over} = 1 if $others || $submission != $task->{submission};
                $self->finish($task, status => 0, attempt => $attempt);
            } elsif ($submission == $task->{submission}) {
                $task->{result} = $report;
                $task->{result_at} = now();
                $task->{unwatched} = now() > ($self->{scheduler}{answered_at} // $task->{submitted_at}) + $UNWATCHED;
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
        # Nobody can say more about these now.
        for my $task (grep { !$_->{over} && $_->{result} && now() > $_->{result_at} + $NO_WORD } @open) {
            $self->conclude($task, verdict_of_result($task));
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
        my $verdict = verdict_on($task, $entry, $self->{scheduler}{backend}->can('post_mortem'));
        $self->conclude($task, $verdict) if $verdict;
        push @running, { task => $task, entry => $entry }
            if !$task->{over} && !$task->{result} && $entry && $entry->{kind} eq 'running';
    }
    $self->tell_held(grep { !$_->{over} && $_->{seen} && $_->{seen}{kind} eq 'held' } @open);
    $self->look_for_silence(@running) if @running;
    return;
}

# Acts on a verdict (see Dispatch::Verdict): a task of a lost node is tried again, others have failed.
sub conclude {
    my ($self, $task, $verdict) = @_;
    if ($verdict->{cancel}) {
        $self->{scheduler}->cancel($task->{submission}, $task) or $task->{left_over} = 1;
    }
    if ($verdict->{lost} && ($task->{retries} // 0) < $self->{retries}) {
        $task->{retries}++;
        my $nap = $FIRST_RETRY * 2**($task->{retries} - 1);
        my $which = "$task->{retries} of $self->{retries}";
        my $why = "$verdict->{cause} ($verdict->{said})";
        $self->{say}->("task $task->{number}: $why; trying again in $nap s ($which)");
        $task->{retry_at} = now() + $nap;
        $task->{left_over} = 1;
        return;
    }
    my %how = map { defined $verdict->{$_} ? ($_ => $verdict->{$_}) : () } qw(status cause said attempt);
    return $self->finish($task, %how);
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
        my $attempts = $task->{submission}->attempts($task->{number});
        my $beats = join ' ', map { "$_:$attempts->{$_}" } sort keys %$attempts;
        next if defined $task->{beats} && $task->{beats} eq $beats;
        @$task{qw(beats beat_at)} = ($beats, now());
    }
    my @silent = grep { now() > $_->{task}{beat_at} + $SILENCE } @running or return;
    for my $one ($self->{scheduler}{backend}->can('lost_tasks')->(@silent)) {
        my $said = "$one->{entry}{said}, which does not answer";
        $self->conclude($one->{task}, { cause => 'node lost', lost => 1, said => $said, cancel => 1 });
    }
    return;
}

# Cancels everything and waits until it is gone; true if it is. At a second signal it does not wait.
sub stop {
    my ($self) = @_;
    my $began = now();
    my $deadline = $began + $self->{kill_wait} + $STOP_SECONDS;
    my @left = @{ $self->{submissions} };
    my $next_try = $began;
    while (@left && now() < $deadline) {
        last if $self->{stop_request}->() eq 'KILL' && now() > $began + $FAREWELL;
        last if $self->{scheduler}{down} && now() > $began + $AWAY_SECONDS;
        if (now() >= $next_try) {
            $self->{scheduler}->cancel($_) for @left;
            $next_try = now() + 5;
        }
        @left = $self->still_there(@left);
        pause(0.3) if @left;
    }
    $self->read_news;
    $self->settle_log($_) for grep { !$_->{over} } @{ $self->{tasks} };
    $self->{left} = [map { $_->{job} // $_->{name} } @left];
    return !@left;
}

# Those of @submissions of which something is in the queue or running, or may be.
sub still_there {
    my ($self, @submissions) = @_;
    my @known = grep { defined $_->{job} } @submissions;
    my $find = $self->{scheduler}{backend}->can('find_job');
    my @there = grep { !defined $_->{job} && ($find->($_->{name}) // 'unknown') ne '' } @submissions;
    return @there if !@known;
    my $view = $self->{scheduler}->look(undef, @known) or return (@known, @there);
    return (@there, grep { active($view->{ $_->{job} }) } @known);
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
