package Dispatch::GridEngine;

# Grid Engine's commands and what they answer; the views are those of Dispatch::Slurm, with one kind more:
#   error      Eqw: it could not be started, and waits for ever

use strict;
use warnings;
use POSIX ();
use Dispatch::Scheduler qw(run_command);

sub title { return 'Grid Engine' }
sub config_file { return 'conf/queue.conf' }
sub id_variable { return 'SGE_TASK_ID' }
sub release_hint { return "qrls $_[1]" }

# -t takes one range only; other tasks are found through their place in the list.
sub array_kind {
    my ($tasks) = @_;
    return $tasks->[-1]{number} - $tasks->[0]{number} == $#$tasks ? 'number' : 'index';
}

sub builtin_config {
    return <<'END';
command qsub -v PATH -S /bin/bash
option mem=* -l mem_free=$0,ram_free=$0
option num_threads=* -pe smp $0
option num_threads=1
option time=* -l h_rt=$0
option notice=* -notify -l s_rt=$0
option gpu=0
option gpu=* -l gpu=$0
END
}

# A value as qsub wants it: sizes in whole units up to G, times in seconds, a notice as the run time at which it is due.
sub spell {
    my ($name, $value, $options) = @_;
    if ($name eq 'mem') {
        my ($number, $unit) = $value =~ /\A([\d.]+)([KMGT]?)B?\z/i;
        $unit = uc $unit;
        ($number, $unit) = ($number * 1024, 'G') if $unit eq 'T';
        while ($number != int $number && $unit ne '') {
            $number *= 1024;
            $unit = { G => 'M', M => 'K', K => '' }->{$unit};
        }
        return POSIX::ceil($number) . $unit;
    }
    if ($name eq 'notice') {
        my $due = seconds($options->{time}) - $value;
        return $due > 0 ? $due : 1;
    }
    return $name eq 'time' ? seconds($value) : $value;
}

sub seconds {
    my ($value) = @_;
    # Slurm's notation: minutes, M:S, H:M:S, D-H, D-H:M, D-H:M:S.
    my ($days, $rest) = $value =~ /\A(\d+)-(.*)\z/ ? ($1, $2) : (undef, $value);
    my @part = split /:/, $rest;
    return 86400 * $days + 3600 * $part[0] + 60 * ($part[1] // 0) + ($part[2] // 0) if defined $days;
    return @part == 3 ? 3600 * $part[0] + 60 * $part[1] + $part[2] : 60 * $part[0] + ($part[1] // 0);
}

sub submit_words {
    my ($submission, $words, $legacy, $limit) = @_;
    my @ids = map { $_->{id} } @{ $submission->{tasks} };
    my %given = map { $_ => 1 } @$words;
    # -w e refuses at once what no host could ever run; -r n: --retries does it under our eyes.
    my @checks = (($given{'-w'} ? () : ('-w', 'e')), ($given{'-r'} ? () : ('-r', 'n')));
    return (@$words, passed_on(@$legacy), @checks, '-terse', '-N', $submission->{name}, '-t', "$ids[0]-$ids[-1]",
        ($limit ? ('-tc', $limit) : ()), '-j', 'y', '-o', '/dev/null', '-wd', '/', $submission->path('job.sh'));
}

# What of Kaldi's options is for qsub: not -sync, which cannot be trusted, and not -V, which shows the
# environment to everybody.
sub passed_on {
    my @passed;
    while (defined(my $word = shift)) {
        my @values = splice @_, 0, { '-V' => 0, '-pe' => 2 }->{$word} // 1;
        push @passed, $word, @values if $word ne '-V' && $word ne '-sync';
    }
    return @passed;
}

sub job_of {
    my ($text) = @_;
    return $text =~ /^(\d+)(?:\.\d+-\d+:\d+)?$/m ? $1 : undef;
}

sub is_unreachable {
    my ($answer) = @_;
    return $answer->{code} == -1 || $answer->{errors} =~ /unable\ to\ (?:send\ message\ to|contact)\ qmaster
        | can't\ (?:reach|connect) | commlib\ error | got\ (?:select|send|read|no\ connection)\ error
        | Connection\ refused | failed\ receiving\ gdi | gdi.request | timeout | timed\ out /ix;
}

# All arrays of the user in one question: (view of @$jobs, undef) or (undef, why it cannot be asked).
sub look {
    my ($jobs, $meanwhile) = @_;
    my $user = getpwuid($>) // $ENV{USER} // $>;
    my $answer = run_command(['qstat', '-xml', '-u', $user], 60, $meanwhile);
    return (undef, $answer->{errors}) if $answer->{code} != 0 || $answer->{out} !~ m{</job_info>\s*\z};
    my %view = map { $_ => {} } @$jobs;
    for my $job (job_list($answer->{out})) {
        my $known = $view{ $job->{JB_job_number} } or next;
        $known->{$_} = entry($job) for ids_of($job->{tasks} // '1');
    }
    return (\%view, undef);
}

# The jobs in qstat's XML, as { element => text }.
sub job_list {
    my ($xml) = @_;
    return map { { /<(\w+)[^>]*>([^<]*)<\/\1>/g } } $xml =~ m{<job_list\b[^>]*>(.*?)</job_list>}gs;
}

# The ids in a list such as 3,7-9:1,20-30:5.
sub ids_of {
    my ($text) = @_;
    my @ids;
    for my $part (split /,/, $text) {
        my ($first, $last, $step) = $part =~ /\A(\d+)(?:-(\d+)(?::(\d+))?)?\z/ or next;
        for (my $id = $first; $id <= ($last // $first); $id += $step || 1) {
            push @ids, $id;
        }
    }
    return @ids;
}

sub entry {
    my ($job) = @_;
    my ($state, $queue) = ($job->{state}, $job->{queue_name} // '');
    my $kind = $state =~ /E/ ? 'error' : $state =~ /[rtdsST]/ ? 'running' : $state =~ /h/ ? 'held' : 'waiting';
    my $said = "Grid Engine: $state" . ($queue ne '' ? ", queue $queue" : '');
    return { kind => $kind, queue => $queue, said => $said };
}

# More about a task that is in an error state, or gone without a result: { cause, lost, said } or undef.
sub post_mortem {
    my ($task, $kind) = @_;
    my $job = $task->{submission}{job};
    if ($kind eq 'error') {
        my $answer = run_command(['qstat', '-j', $job], 30);
        my ($reason) = $answer->{out} =~ /^error reason\s+\Q$task->{id}\E:\s*(.*?)\s*$/m;
        ($reason) = $answer->{out} =~ /^error reason\s+\d+:\s*(.*?)\s*$/m if !defined $reason;
        # Date, time and process do not matter to the user.
        $reason =~ s/\A[\d\/]+ [\d:]+ (?:\[\d+:\d+\]: )?// if defined $reason;
        return { cause => 'error state Eqw', said => 'Grid Engine: ' . ($reason // 'no reason given') };
    }
    my $answer = run_command(['qacct', '-j', $job, '-t', $task->{id}], 30);
    # The last record counts, if there are several.
    return undef if $answer->{code} != 0;
    my %field = $answer->{out} =~ /^(taskid|failed|exit_status|hostname) +(.*?) *$/mg;
    return undef if !defined $field{failed} || $field{taskid} ne $task->{id};
    my ($failed) = $field{failed} =~ /\A(\d+)/;
    my $said = "Grid Engine: failed $field{failed}, exit status " . ($field{exit_status} =~ s/\s+/ /gr);
    $said .= ", host $field{hostname}";
    return { cause => 'time limit or another limit of the request reached', said => $said } if $failed == 37;
    return { cause => 'cancelled (qdel) or killed from outside', said => $said } if $failed == 100;
    # The shepherd died, or the restarted host does not know the job.
    return { cause => 'node lost', lost => 1, said => $said } if $failed == 19 || $failed == 21;
    return { cause => 'could not be run', said => $said } if $failed;
    return { cause => 'ended without a result', said => $said };
}

# A lost host's tasks stay "running" here.
sub watches_hosts { return 1 }

# Of the running tasks { task, entry }, those on hosts that have not answered for a while.
sub lost_tasks {
    my @running = @_;
    my $answer = run_command(['qstat', '-f', '-qs', 'u', '-xml'], 30);
    return () if $answer->{code} != 0;
    my %unknown = map { $_ => 1 } $answer->{out} =~ m{<name>([^<]*)</name>}g;
    return grep { $unknown{ $_->{entry}{queue} } } @running;
}

sub cancel_words {
    my ($job, @ids) = @_;
    return ['qdel', @ids ? map { "$job.$_" } @ids : $job];
}

sub is_cancelled {
    my ($answer) = @_;
    return $answer->{code} == 0 || $answer->{errors} . $answer->{out} =~ /does not exist|already in deletion/;
}

sub find_job {
    my ($name) = @_;
    my $answer = run_command(['qstat', '-j', $name], 30);
    return $1 if $answer->{out} =~ /^job_number:\s+(\d+)/m;
    return is_unreachable($answer) ? undef : '';
}

1;
