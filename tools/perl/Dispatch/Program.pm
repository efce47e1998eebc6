package Dispatch::Program;

# What run.pl, slurm.pl and queue.pl have in common as programs: options, help, tasks, stop requests, the last
# words and the exit code.

use strict;
use warnings;
use File::Basename ();
use File::Path ();
use Dispatch::CommandLine qw(list_options parse_call);
use Dispatch::Driver qw(watch_driver);
use Dispatch::Finished qw(fingerprint is_finished);
use Dispatch::Process qw(now);
use Dispatch::Report qw(report_failures);
use Dispatch::Words qw(substitute);
use Exporter 'import';
our @EXPORT_OK = qw(common_options print_help run_program stop_requests tasks_of without_finished conclude);

# Seconds within which signals are one: what a process group gets (timeout, a scheduler, a terminal that closes) comes
# once to this process, and again from each script above it that passes it on.
my $SAME_SIGNAL = 2;

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

1;
