package Dispatch::Slurm;

# Slurm's commands and what they answer.
#
# A view of the array is what one squeue tells: { JOB => { ID => { kind, said } } }, kind being
#   waiting    in the queue             held    in the queue until somebody releases it
#   never      cannot leave the queue   running starting, running or ending
#   ended      over, in the way that cause says (undef: it ended by itself); lost: its node failed
# A task that is not there any more is not in the view.

use strict;
use warnings;
use POSIX ();
use Dispatch::CommandLine qw(compress);
use Dispatch::Scheduler qw(run_command);

sub title { return 'Slurm' }
sub config_file { return 'conf/slurm.conf' }
sub array_kind { return 'number' }    # -a takes any task numbers
sub id_variable { return 'SLURM_ARRAY_TASK_ID' }
sub release_hint { return "scontrol release $_[1]" }

sub builtin_config {
    return <<'END';
command sbatch --export=ALL
option mem=* --mem=$0
option num_threads=* --cpus-per-task=$0
option time=* --time=$0
option notice=* --signal=B:USR1@$0
option gpu=0
option gpu=* --gres=gpu:$0
END
}

# A value as sbatch wants it: sizes are whole numbers.
sub spell {
    my ($name, $value) = @_;
    return $value if $name ne 'mem';
    my ($number, $unit) = $value =~ /\A([\d.]+)([KMGT]?)B?\z/i;
    $unit = uc $unit;
    while ($number != int $number && $unit ne 'K') {
        $number *= 1024;
        $unit = { T => 'G', G => 'M', M => 'K', '' => 'K' }->{$unit};
    }
    return POSIX::ceil($number) . $unit;
}

# What the submit command sees of our environment. With --export=ALL that becomes the environment of the job: the
# least will do, as tasks have the rest from the spec. With any other --export Slurm starts a login shell of the
# user on the node, for every task: an array of short tasks takes four times as long.
sub submit_environment {
    my @words = @_;
    return %ENV if !grep { $_ eq '--export=ALL' } @words;
    return map { $_ => $ENV{$_} } grep { /\A(?:PATH|HOME|USER|LOGNAME|SHELL|TZ|LD_LIBRARY_PATH
        |SLURM_\w+|SBATCH_\w+)\z/x } keys %ENV;
}

# The words that submit @$ids as the array of $submission, with at most $limit tasks at a time.
sub submit_words {
    my ($submission, $words, $legacy, $limit) = @_;
    my $array = compress(map { $_->{id} } @{ $submission->{tasks} }) =~ tr/:/-/r;
    $array .= "%$limit" if $limit;
    # A path is a pattern to Slurm; a backslash would switch patterns off.
    my $output = $submission->path('out') =~ s/%/%%/gr;
    $output = $output =~ /\\/ ? '/dev/null' : "$output.%a";
    # A requeued copy could run beside a lost one; --retries does the same under our eyes.
    my @requeue = grep({ /\A--requeue\b/ } @$words) ? () : '--no-requeue';
    return (@$words, @requeue, '--parsable', "--job-name=$submission->{name}", "--array=$array",
        "--output=$output", '--open-mode=append', '--chdir=/', $submission->path('job.sh'));
}

# The job's number in the answer of sbatch.
sub job_of {
    my ($text) = @_;
    return $text =~ /^(\d+)(?:;\S*)?$/m ? $1 : undef;
}

# Do these words mean that the scheduler cannot be reached now, rather than that it refuses?
sub is_unreachable {
    my ($answer) = @_;
    return $answer->{code} == -1 || $answer->{errors} =~ /Unable\ to\ contact | connect(?:ion)?\ failure
        | Connection\ (?:refused|timed\ out|reset) | Socket\ timed\ out | Zero\ Bytes\ were | timed\ out
        | Transport\ endpoint | No\ route\ to\ host | [Mm]unge | Protocol\ authentication | temporarily
        | in\ standby\ mode | backup\ controller /ix;
}

my @FIELDS = ([ArrayJobID => 14], [JobID => 14], [ArrayTaskID => 14], [State => 24], [exit_code => 12],
    [NodeList => 60], [Reason => 100]);
my $WIDTHS = join ' ', map { "A$_->[1]" } @FIELDS;

my %CAUSE = (
    CANCELLED => 'cancelled',
    TIMEOUT => 'time limit reached',
    DEADLINE => 'deadline reached',
    OUT_OF_MEMORY => 'out of memory',
    NODE_FAIL => 'node lost',
    BOOT_FAIL => 'node lost',
    PREEMPTED => 'preempted',
    REVOKED => 'cancelled',
);
my %LOST = map { $_ => 1 } qw(NODE_FAIL BOOT_FAIL PREEMPTED);
my %ENDED = (%CAUSE, map { $_ => undef } qw(COMPLETED FAILED SPECIAL_EXIT LAUNCH_FAILED));
my $NEVER = qr/\A(?: BadConstraints | DependencyNeverSatisfied | PartitionTimeLimit | PartitionNodeLimit
    | InvalidAccount | InvalidQOS | AccountNotAllowed | QOSNotAllowed | JobHoldMaxRequeue
    | launch\ failed\ requeued\ held | (?:Assoc|QOS)Max\w*PerJob\w* )\z/xi;

# What the queue says of @jobs: (view, undef) or (undef, why it cannot be asked).
sub look {
    my ($jobs, $meanwhile) = @_;
    my $format = join ',', map { "$_->[0]:$_->[1]" } @FIELDS;
    my $answer = run_command(
        ['squeue', '--noheader', '--array', '--states=all', '--jobs=' . join(',', @$jobs), "--Format=$format"],
        60, $meanwhile);
    my %view = map { $_ => {} } @$jobs;
    if ($answer->{code} != 0) {
        return (\%view, undef) if $answer->{errors} =~ /Invalid job id/i && !is_unreachable($answer);
        return (undef, $answer->{errors});
    }
    for my $line (split /\n/, $answer->{out}) {
        my ($array_job, $job, $id, $state, $wait_status, $nodes, $reason) = unpack $WIDTHS, $line;
        my $known = $view{$array_job} // $view{$job} // next;
        # Tasks that were cancelled before any of them began have no numbers any more.
        $known->{ $id =~ /\A\d+\z/ ? $id : '*' } = entry($state, $wait_status, $nodes, $reason);
    }
    return (\%view, undef);
}

sub entry {
    my ($state, $wait_status, $nodes, $reason) = @_;
    my @said = ("Slurm: $state", grep { !/\A(?:None|)\z/ } $reason);
    push @said, "node $nodes" if $nodes ne '';
    push @said, 'exit code ' . ($wait_status >> 8) . ':' . ($wait_status & 127)
        if $wait_status =~ /\A\d+\z/ && $wait_status && exists $ENDED{$state} && !$CAUSE{$state};
    my $said = join ', ', @said;
    return { kind => 'ended', cause => $CAUSE{$state}, lost => $LOST{$state}, said => $said }
        if exists $ENDED{$state};
    my $kind = $state !~ /\A(?:PENDING|REQUEUE)/ ? 'running' : $reason =~ $NEVER ? 'never'
        : $reason =~ /\AJobHeld/ || $state eq 'REQUEUE_HOLD' ? 'held' : 'waiting';
    return { kind => $kind, said => $said };
}

# More about a task that ended without a result: { cause, lost, said } or undef.
sub post_mortem {
    my ($task) = @_;
    my $text = $task->{submission}->scheduler_output($task);
    return { cause => 'out of memory', said => "Slurm: $1" }
        if $text =~ /(exceeded memory limit[^\n]*|oom.kill[^\n]*)/i;
    return { cause => 'time limit reached', said => "Slurm: $1" } if $text =~ /(DUE TO TIME LIMIT)/;
    return { cause => 'node lost', lost => 1, said => "Slurm: $1" } if $text =~ /(DUE TO NODE FAILURE[^\n]*)/;
    return { cause => 'cancelled', said => "Slurm: $1" } if $text =~ /(CANCELLED AT [^\n]*?)[ *]*$/m;
    return undef;
}

# The commands that cancel a job by number or name, or some tasks of it.
sub cancel_words {
    my ($job, @ids) = @_;
    return ['scancel', @ids ? map { "${job}_$_" } @ids : $job] if $job =~ /\A\d+\z/;
    return ['scancel', "--name=$job"];
}

# Has a cancelling command done its work?
sub is_cancelled {
    my ($answer) = @_;
    return $answer->{code} == 0 || $answer->{errors} =~ /Invalid job id|already completing|already completed/i;
}

# The number of the job with the name $name; '' if there is none, undef if the scheduler cannot be asked.
sub find_job {
    my ($name) = @_;
    my @words = ('squeue', '--noheader', '--states=all', "--name=$name", '--Format=ArrayJobID:20');
    my $answer = run_command(\@words, 30);
    return undef if $answer->{code} != 0;
    return $answer->{out} =~ /^(\d+)/m ? $1 : '';
}

1;
