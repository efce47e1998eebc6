package Dispatch::Program;

# What run.pl, slurm.pl and queue.pl have in common as programs: options, help, tasks, stop requests, the last
# words and the exit code.

use strict;
use warnings;
use File::Basename ();
use File::Path ();
use Dispatch::CommandLine qw(compress list_options parse_call);
use Dispatch::Finished qw(fingerprint is_finished);
use Dispatch::Process qw(now);
use Dispatch::TaskLog qw(describe_status exit_code last_lines);
use Dispatch::Words qw(quote substitute);
use Exporter 'import';
our @EXPORT_OK = qw(cause_of common_options print_help run_program stop_requests tasks_of without_finished conclude);

# Seconds within which signals are one: what a process group gets (timeout, a scheduler, a terminal that closes) comes
# once to this process, and again from each script above it that passes it on.
my $SAME_SIGNAL = 2;
# What is shown of failed tasks: the ends of so many logs, so many lines of each.
my $LOGS_SHOWN = 3;
my $LINES_SHOWN = 10;

# The options that all three take, with the dispatcher's own words for some of them.
sub common_options {
    my (%help) = @_;
    my %options = (
        'max-jobs-run' => { type => 'count', help => 'tasks at a time, also -tc; the smallest one given counts' },
        'num-threads' => { type => 'count', default => 1, help => 'threads of a task, also as OMP_NUM_THREADS' },
        'gpu' => { type => 'number', default => 0, help => 'GPUs of a task' },
        'mem' => { type => 'size', help => 'memory of a task' },
        'time' => { type => 'time',
            help => 'longest run time of a task: minutes, or [DAYS-]HOURS:MINUTES:SECONDS' },
        'notice' => { type => 'count',
            help => 'seconds before the end of --time at which a task gets USR1' },
        'config' => { type => 'file', help => 'description of the cluster' },
        'operators' => { type => 'bool', default => 'true', help => 'words such as | and > act' },
        'kill-wait' => { type => 'number', default => 10, help => 'seconds between TERM and KILL when stopped' },
        'die-with-parent' => { type => 'bool', default => 'true', help => 'stop when the caller is gone' },
        'resume' => { type => 'bool', default => 'false',
            help => 'leave out tasks whose same command succeeded before' },
        'resume-key' => { type => 'text', default => '',
            help => 'what else must be the same for --resume, such as a checksum of the inputs' },
        'retries' => { type => 'number', default => 0,
            help => 'how often a task is tried again if its node is lost' },
        'submit-timeout' => { type => 'number', default => 300,
            help => 'seconds to try while the scheduler cannot be reached' },
    );
    $options{$_}{help} = $help{$_} for keys %help;
    return \%options;
}

# The comment at the top of the program $file, and the options.
sub print_help {
    my ($file, $options) = @_;
    open my $program, '<', $file or die "cannot read my own help: $!\n";
    while (my $line = <$program>) {
        next if $. == 1;
        last if $line !~ s/\A# ?//;
        print $line;
    }
    print "\nOptions:\n", list_options($options);
    return 0;
}

# A function that says whether and how to stop ('', TERM, KILL), and one that says why.
sub stop_requests {
    my ($watch_parent) = @_;
    my ($first, $again, $cause) = (undef, 0, '');
    for my $signal (qw(INT TERM HUP)) {
        # Ignored by the caller (nohup, a background job) stays ignored.
        next if ($SIG{$signal} // '') eq 'IGNORE';
        $SIG{$signal} = sub {
            local $!;
            $first //= now();
            $again ||= now() > $first + $SAME_SIGNAL;
            $cause ||= "SIG$_[0]";
        };
    }
    my $gone = $watch_parent ? watch_driver() : sub { 0 };
    my $orphaned = 0;
    my $request = sub {
        $orphaned ||= $gone->();
        $cause ||= 'the caller is gone' if $orphaned;
        return $orphaned || $again ? 'KILL' : defined $first ? 'TERM' : '';
    };
    return ($request, sub { $cause });
}

# The tasks of a call, their log directories made.
sub tasks_of {
    my ($call) = @_;
    my ($name, @numbers) = $call->{range} ? ($call->{range}{name}, @{ $call->{range}{tasks} }) : (undef, 1);
    my $options = $call->{options};
    my @tasks;
    for my $number (@numbers) {
        my $log = substitute($call->{log}, $name, $number);
        my @words = map { substitute($_, $name, $number) } @{ $call->{command} };
        push @tasks, { number => $number, log => $log, words => \@words };
        $tasks[-1]{fingerprint} =
            fingerprint($log, $options->{operators} eq 'true', $options->{'resume-key'}, @words);
    }
    make_log_directories(@tasks);
    return @tasks;
}

sub make_log_directories {
    my %directories = map { File::Basename::dirname($_->{log}) => 1 } @_;
    for my $directory (sort keys %directories) {
        File::Path::make_path($directory, { error => \my $errors });
        next if -d $directory;
        my ($reason) = map { values %$_ } @$errors;
        die { code => 1, text => "cannot make the log directory $directory: " . ($reason // 'it is a file') };
    }
    return;
}

# The tasks that --resume leaves to be done.
sub without_finished {
    my ($name, $call, @tasks) = @_;
    return @tasks if $call->{options}{resume} ne 'true';
    my @open = grep { !is_finished($_->{log}, $_->{fingerprint}) } @tasks;
    my $finished = @tasks - @open;
    print STDERR "$name: $finished of " . @tasks . " tasks were finished before\n" if $finished;
    return @open;
}

# Reports the failed ones of @$tasks; the exit code.
sub conclude {
    my ($program, $call, $total, $tasks) = @_;
    my @failed = grep { $_->{status} || defined $_->{cause} } @$tasks;
    return 0 if !@failed;
    print STDERR "$_\n" for report_failures($program, $call, $total, \@failed);
    return 1;
}

# Calls $main->() for the exit code and ends the program with it; errors are said in the program's name.
sub run_program {
    my ($name, $main) = @_;
    $SIG{__WARN__} = sub { print STDERR "$name: warning: $_[0]" };
    # A closed stderr must not end the program before its exit code is known.
    $SIG{PIPE} = 'IGNORE';
    my $code = eval { $main->() };
    if (!defined $code) {
        my $error = ref $@ ? $@ : { code => 255, text => $@ =~ s/\n\z//r };
        print STDERR "$name: $_\n" for split /\n/, $error->{text};
        $code = $error->{code};
    }
    exit $code;
}

# A function that is true once nobody waits for this dispatcher any more: the parent is gone or, if
# DISPATCH_DRIVER_PID is set, that process. A pipeline's driver exports its own pid, because the stage script
# between the driver and the dispatcher outlives the driver.
sub watch_driver {
    my $parent = getppid;
    my $driver = $ENV{DISPATCH_DRIVER_PID};
    return sub { getppid != $parent } if !defined $driver || $driver !~ /\A[1-9]\d*\z/;
    my $birth = birth($driver);
    return sub { getppid != $parent || $birth eq '' || birth($driver) ne $birth };
}

# When process $pid began (so that a later process with the same number is not taken for it); '' if there is
# none or it is dead and only not yet collected by its parent.
sub birth {
    my ($pid) = @_;
    return kill(0, $pid) || $!{EPERM} ? 'alive' : '' if !-r '/proc/self/stat';
    open my $stat, '<', "/proc/$pid/stat" or return '';
    my $line = <$stat> // '';
    # The name in brackets may hold blanks and brackets; after it: state (field 3) ... start time (field 22).
    my @field = split ' ', substr $line, rindex($line, ')') + 1;
    return @field < 20 || $field[0] =~ /[ZX]/ ? '' : $field[19];
}

# What the user reads when tasks failed: how many, which, why, the end of their logs, and the command that
# runs only them again.
#
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
