package Dispatch::Scheduler;

# Jobs at a scheduler, whichever it is: submitting, asking and cancelling, with patience while it cannot be
# reached.

use strict;
use warnings;
use POSIX qw(:sys_wait_h);
use Dispatch::Process qw(now pause);
use Dispatch::Words qw(quote);
use Exporter 'import';
our @EXPORT_OK = qw(run_command);

my $SUBMIT_SECONDS = 120;    # one call of the submit command; it tries for a while by itself
my $CANCEL_SECONDS = 30;
my $TALK_AFTER = 8;          # seconds without an answer after which the user is told
my $LONGEST_NAP = 30;
my $CANCEL_CHUNK = 500;      # tasks in one command line

# %arg: backend (class with the scheduler's commands), say (function for a line to the user), words (submit
# command), legacy, limit (tasks at a time), timeout (seconds to try to submit).
sub new {
    my ($class, %arg) = @_;
    return bless { %arg, down => 0 }, $class;
}

# Submits $submission; sets its job number. Gives up without one if $stopped->() says so; dies if it is refused or
# the scheduler cannot be reached for too long.
sub submit {
    my ($self, $submission, $stopped) = @_;
    my $backend = $self->{backend};
    my @words = $backend->can('submit_words')->($submission, @$self{qw(words legacy limit)});
    my $environment = $backend->can('submit_environment') // sub { %ENV };
    my $deadline = now() + $self->{timeout};
    my $nap = 1;
    while (1) {
        my $answer = do { local %ENV = $environment->(@words); run_command(\@words, $SUBMIT_SECONDS) };
        my $job = $answer->{code} == 0 ? $backend->can('job_of')->($answer->{out}) : undef;
        if (!defined $job && $backend->can('is_unreachable')->($answer)) {
            my $reason = one_line($answer->{errors});
            $self->give_up($reason, \@words) if now() + $nap > $deadline;
            $self->{say}->("the scheduler cannot be reached ($reason); trying again in $nap s");
            my $wake = now() + $nap;
            pause(0.1) while now() < $wake && !$stopped->();
            $nap = $nap < $LONGEST_NAP / 2 ? 2 * $nap : $LONGEST_NAP;
            # It may have taken the job, and only its answer was lost.
            $job = $backend->can('find_job')->($submission->{name}) || undef;
        } elsif (!defined $job) {
            die { code => 1, text => 'submission refused: ' . one_line($answer->{errors})
                . "\n    the command was: " . join(' ', map { quote($_) } @words) . hint($answer, $submission) };
        }
        $submission->{job} = $job;
        return if defined $job || $stopped->();
    }
}

# What to do where the array is larger than the cluster takes.
sub hint {
    my ($answer, $submission) = @_;
    my $count = @{ $submission->{tasks} };
    return '' if $count < 2 || $answer->{errors} !~ /job array specification|more than \d+ tasks|submit limit/i;
    return "\n    the cluster may not take $count tasks at once (MaxArraySize or MaxSubmitJobs of Slurm, "
        . 'max_aj_tasks of Grid Engine): run with fewer, --nj of run.sh';
}

sub give_up {
    my ($self, $reason, $words) = @_;
    my $text = "gave up after $self->{timeout} s: the scheduler cannot be reached ($reason)";
    die { code => 1, unknown => 1, text => $text . "\n    the command was: " . join ' ', map { quote($_) } @$words };
}

sub one_line {
    my ($text) = @_;
    my @lines = grep { /\S/ } split /\n/, $text;
    return @lines ? join('; ', map { s/\A\s+|\s+\z//gr } @lines) : 'it says nothing';
}

# A view of @submissions (see Dispatch::Slurm), undef while the scheduler cannot be asked; the user is told when
# that begins and ends.
sub look {
    my ($self, $meanwhile, @submissions) = @_;
    my $began = now();
    my $patience = sub {
        $meanwhile->() if $meanwhile;
        $self->tell_down("no answer for $TALK_AFTER s") if now() > $began + $TALK_AFTER;
    };
    my ($view, $problem) = $self->{backend}->can('look')->([map { $_->{job} } @submissions], $patience);
    if (!$view) {
        $self->tell_down(one_line($problem));
    } elsif ($self->{down}) {
        $self->{say}->('the scheduler answers again');
        $self->{down} = 0;
    }
    $self->{answered_at} = now() if $view;
    return $view;
}

sub tell_down {
    my ($self, $reason) = @_;
    $self->{say}->("the scheduler cannot be asked ($reason); waiting for it") if !$self->{down};
    $self->{down} = 1;
    return;
}

# Cancels tasks of one submission (all of it if none are given); true if that worked.
sub cancel {
    my ($self, $submission, @tasks) = @_;
    my $job = $submission->{job} // $submission->{name};
    my @ids = map { $_->{id} } @tasks;
    my $worked = 1;
    do {
        my @words = $self->{backend}->can('cancel_words')->($job, splice @ids, 0, $CANCEL_CHUNK);
        my $answer = run_command(@words, $CANCEL_SECONDS);
        $worked &&= $self->{backend}->can('is_cancelled')->($answer);
    } while (@ids);
    return $worked;
}

# What the guard does when the dispatcher is gone: cancels the jobs with these names.
sub cancel_by_name {
    my ($self, @names) = @_;
    for my $name (@names) {
        # Twice: the job may be on its way while the dispatcher dies.
        for my $try (1 .. 2) {
            for (1 .. 100) {
                my $answer = run_command($self->{backend}->can('cancel_words')->($name), $CANCEL_SECONDS);
                last if $self->{backend}->can('is_cancelled')->($answer);
                pause(5);
            }
            pause(2) if $try == 1;
        }
    }
    return;
}

# None of the scheduler's commands may hang the dispatcher, and none is reached by the terminal's Ctrl-C: a
# submission that is cut off would leave a job of which nobody knows.
#
# Runs @$words for at most $seconds. $meanwhile->(), if given, is called several times a second. Returns { code,
# out, errors }: the exit code (-1 if it had to be killed, 127 if it could not be started) and its output, in
# errors also what stands in both if that is all there is.
sub run_command {
    my ($words, $seconds, $meanwhile) = @_;
    pipe my $out, my $out_end or die "cannot make a pipe: $!\n";
    pipe my $errors, my $errors_end or die "cannot make a pipe: $!\n";
    my $pid = fork // die "cannot start a process: $!\n";
    become($words, $out_end, $errors_end) if $pid == 0;
    close $_ for $out_end, $errors_end;
    my %text = ($out => '', $errors => '');
    my %open = ($out => $out, $errors => $errors);
    my $deadline = now() + $seconds;
    my $killed = 0;
    while (%open) {
        my $wanted = '';
        vec($wanted, fileno $_, 1) = 1 for values %open;
        my $ready = select my $readable = $wanted, undef, undef, 0.2;
        $meanwhile->() if $meanwhile;
        if (!$killed && now() > $deadline) {
            kill KILL => -$pid, $pid;
            $killed = 1;
        }
        next if $ready <= 0;
        for my $name (keys %open) {
            next if !vec $readable, fileno $open{$name}, 1;
            sysread($open{$name}, $text{$name}, 65536, length $text{$name}) or delete $open{$name};
        }
    }
    waitpid $pid, 0;
    my $code = $killed ? -1 : WIFEXITED($?) ? WEXITSTATUS($?) : 128 + WTERMSIG($?);
    my $said = $text{$errors} =~ /\S/ ? $text{$errors} : $text{$out};
    $said = "no answer within $seconds s" if $killed;
    return { code => $code, out => $text{$out}, errors => $said };
}

sub become {
    my ($words, $out, $errors) = @_;
    setpgrp 0, 0;
    # What the user set for looking at jobs must not change what we read.
    delete @ENV{ grep { /\A(?:SQUEUE|SCANCEL)_/ } keys %ENV };
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE CHLD);
    open STDIN, '<', '/dev/null';
    open STDOUT, '>&', $out;
    open STDERR, '>&', $errors;
    exec { $words->[0] } @$words or print STDERR "$words->[0]: $!\n";
    POSIX::_exit(127);
}

1;
