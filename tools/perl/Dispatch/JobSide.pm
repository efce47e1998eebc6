package Dispatch::JobSide;

# One attempt at one task, on the node where the scheduler started it.
#
# The attempt writes to files of its own name. Its log is LOGDIR/.dispatch/LOG.ATTEMPT; while it runs, LOG is a
# symbolic link to that, at its end the file itself, unless a later attempt has taken the link over. Then
# the status file is written: whoever sees it may rely on the log and the finished marker, and no process of
# the task's group runs any more.

use strict;
BEGIN { $^W = 1 }
use Dispatch::Finished qw(fingerprint make_side_directory remember replace_file side_file);
use Dispatch::Process qw(exec_words group_alive has_ended host_name kill_group now pause);
use Dispatch::Spec qw(read_spec);
use Dispatch::TaskLog qw(exit_code know_zone write_footer write_header);
use Dispatch::Words qw(display substitute);
use Exporter 'import';
our @EXPORT_OK = qw(run_task);

my $HEARTBEAT = 3;    # seconds
my $NO_RESULT = 98;   # exit code: not even the status could be written

# Runs the task with the id $id of the submission in $directory; the exit code for the scheduler.
sub run_task {
    my ($directory, $id) = @_;
    my ($spec, $numbers, $words, $environment) = read_spec($directory);
    know_zone(split ' ', $spec->{zone}, 2);
    my $number = $spec->{array} eq 'number' ? $id : $numbers->[$id - 1];
    my $name = $spec->{range_name} eq '' ? undef : $spec->{range_name};
    my $log = substitute($spec->{log}, $name, $number);
    my $host = host_name();
    my $restarts = $ENV{SLURM_RESTART_COUNT} // $ENV{RESTARTED} // 0;
    my $attempt = "$spec->{name}.$restarts.$host.$$";
    my %task = (
        log => $log,
        words => [map { substitute($_, $name, $number) } @$words],
        own_log => side_file($log, $attempt),
        link => ".dispatch/" . ($log =~ s{.*/}{}sr) . ".$attempt",
        run_file => "$directory/$number.$attempt.run",
        place => "on $host, $spec->{scheduler} job " . place_of($id),
        attempt => $attempt,
    );
    my %report = (host => $host, pid => $$, began => time);
    my $problem = eval { %report = (%report, attempt($spec, $environment, \%task)); 1 } ? undef : $@;
    if (defined $problem) {
        $problem = $problem->{text} if ref $problem;
        $report{problem} = $problem =~ s/\s+/ /gr;
        print STDERR "$problem\n";
    }
    $report{ended} = time;
    my $text = join '', map { "$_ $report{$_}\n" } sort keys %report;
    if (!replace_file("$directory/$number.$attempt.status", $text)) {
        print STDERR "cannot write the status of task $number to $directory: $!\n";
        return $NO_RESULT;
    }
    unlink $task{run_file};
    # Grid Engine takes 99 and 100 as requests of its own.
    my $code = defined $problem ? $NO_RESULT : exit_code($report{status});
    return $code == 99 || $code == 100 ? 1 : $code;
}

sub place_of {
    my ($id) = @_;
    return ($ENV{SLURM_ARRAY_JOB_ID} // $ENV{SLURM_JOB_ID} // $ENV{JOB_ID} // '?') . ", array task $id";
}

# Runs the command; what goes into the report. Dies if it could not be tried.
sub attempt {
    my ($spec, $environment, $task) = @_;
    take_environment($spec, $environment);
    my $operators = $spec->{operators};
    make_side_directory($task->{log});
    write_header($task->{own_log}, display($operators, @{ $task->{words} }), $task->{place});
    link_log($task);
    touch($task->{run_file});
    my $began = now();
    my $status = run_words($operators, $task);
    my $seconds = int(now() - $began);
    write_footer($task->{own_log}, $status, $seconds, $spec->{threads})
        or print STDERR "cannot write to the log $task->{own_log}: $!\n";
    settle_log($task->{log}, $task->{link}, $task->{own_log});
    if ($status == 0) {
        remember($task->{log}, fingerprint($task->{log}, $operators, $spec->{resume_key}, @{ $task->{words} }));
    }
    return (status => $status);
}

# The caller's directory, umask and environment; what the scheduler set for this job stays.
sub take_environment {
    my ($spec, $environment) = @_;
    my %passed = @$environment;
    @ENV{ keys %passed } = values %passed;
    # Set by sbatch's --export, it would make srun keep the environment from a job's own steps.
    delete $ENV{SLURM_EXPORT_ENV};
    $ENV{OMP_NUM_THREADS} = $spec->{threads} if $spec->{export_threads};
    # Some Grid Engines name the granted GPUs so.
    $ENV{CUDA_VISIBLE_DEVICES} //= $ENV{SGE_HGR_gpu} =~ s/\s+/,/gr if defined $ENV{SGE_HGR_gpu};
    umask $spec->{umask};
    chdir $spec->{directory} or die "cannot change to the directory $spec->{directory}: $!\n";
    $ENV{PWD} = $spec->{directory};
    return;
}

# Lets LOG lead to the log of this attempt.
sub link_log {
    my ($task) = @_;
    my $temporary = side_file($task->{log}, "$task->{attempt}.link");
    symlink($task->{link}, $temporary) && rename $temporary, $task->{log}
        or die "cannot make the log $task->{log}: $!\n";
    return;
}

# Puts the log of an attempt in its place, if LOG still leads there.
sub settle_log {
    my ($log, $link, $own_log) = @_;
    return if (readlink $log // '') ne $link;
    rename $own_log, $log or print STDERR "cannot rename the log $own_log: $!\n";
    return;
}

sub touch {
    my ($path) = @_;
    open my $file, '>>', $path or return;
    utime undef, undef, $path;
    return;
}

# Runs the words and waits for the end of everything in the process group; the wait status.
sub run_words {
    my ($operators, $task) = @_;
    my ($told_to_stop, @forward) = (0);
    # A scheduler's signal goes to all processes of the job, except what was aimed at the batch script alone
    # (sbatch --signal=B:USR1@60): USR1 and USR2 are passed on.
    local @SIG{qw(INT TERM HUP XCPU)} = (sub { $told_to_stop = 1 }) x 4;
    local @SIG{qw(USR1 USR2)} = (sub { push @forward, $_[0] if $ENV{SLURM_JOB_ID} }) x 2;
    local $SIG{CHLD} = sub { };
    my $pid = fork // die "cannot start a process: $!\n";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        exec_words($operators, @{ $task->{words} })
            if open(STDOUT, '>>', $task->{own_log}) && open STDERR, '>&', \*STDOUT;
        require POSIX;
        POSIX::_exit(127);
    }
    my ($beat, $nap) = (now(), 0.004);
    until (has_ended($pid)) {
        kill $_ => $pid for splice @forward;
        # The end of the child cuts it short, unless it comes just before.
        pause($nap);
        $nap = $nap < 0.5 ? 1.5 * $nap : 1;
        next if now() < $beat + $HEARTBEAT;
        touch($task->{run_file});
        $beat = now();
    }
    my $status = $?;
    # Only the leader of a group of its own may kill the rest of it.
    if (getpgrp == $$) {
        # Told to stop, the parts of a pipe may finish their work.
        pause(0.1) while $told_to_stop && group_alive($$);
        kill_group($$);
    }
    return $status;
}

1;
