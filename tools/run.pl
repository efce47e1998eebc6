#!/usr/bin/env perl
# Runs a command, or n of them, on this machine and waits for the end.
#
#   run.pl [options] [JOB=1:n] [options] LOG command args...
#
# JOB (any name) is replaced by the task's number wherever it occurs in the log's name and in the command; the
# log of more than one task must have it. JOB=3 and JOB=2,5:7 run chosen tasks. Every task writes its output
# to its log; the directory is made.
#
# Arguments stay as they are: blanks, quotes, $ and * mean nothing. A word that is exactly | |& || && ; < > >>
# 2> 2>> 2>&1 or >&2 acts as in bash (write \| and \> as in Kaldi's scripts); --operators false makes these
# ordinary words too. For more shell than that: bash -c '...'. A pipe fails if any of its parts fails. A task
# gets no input, and the caller's environment.
#
# A task ends with everything in its process group. INT, TERM and HUP are passed on as TERM to all tasks, KILL
# after --kill-wait seconds or at a second signal; then run.pl ends, too. If the caller (or the process named
# by DISPATCH_DRIVER_PID) dies, the tasks are killed; likewise if run.pl is. So to leave run.pl running behind
# a shell that ends, as with nohup, start the whole pipeline with nohup, or give --die-with-parent false.
#
# Exit code: 0 all tasks succeeded; 1 a task failed, or the call lacks something; 2 stopped by a signal; 255
# an option or the range cannot be understood, or run.pl itself failed. Kaldi's -l, -q, -sync (one value), -pe
# (two) and -V are for submit commands of clusters; here they are taken and have no effect.

use strict;
use warnings;
use Cwd ();
use File::Basename ();
use File::Path ();
use lib File::Basename::dirname(Cwd::abs_path(__FILE__)) . '/perl';
use Dispatch::CommandLine qw(compress list_options parse_call);
use Dispatch::Driver qw(watch_driver);
use Dispatch::LocalTasks;
use Dispatch::Machine qw(cpu_count gpu_list);
use Dispatch::Report qw(report_failures);
use Dispatch::Words qw(substitute);

my %OPTIONS = (
    'max-jobs-run' => { type => 'count', help => 'tasks at a time, also -tc; the smallest one given counts; '
            . 'none given: processors / num-threads' },
    'num-threads' => { type => 'count', default => 1, help => 'threads of a task, also as OMP_NUM_THREADS' },
    'gpu' => { type => 'number', default => 0, help => 'GPUs of a task: each running task gets its own' },
    'mem' => { type => 'size', help => 'memory of a task; for clusters, not enforced here' },
    'time' => { type => 'time', help => 'longest run time of a task; for clusters, not enforced here' },
    'config' => { type => 'file', help => 'description of a cluster; must exist, has no effect here' },
    'operators' => { type => 'bool', default => 'true', help => 'words such as | and > act' },
    'kill-wait' => { type => 'number', default => 10, help => 'seconds between TERM and KILL when stopped' },
    'die-with-parent' => { type => 'bool', default => 'true', help => 'stop when the caller is gone' },
);
my $NAME = File::Basename::basename($0);

sub print_help {
    open my $self, '<', __FILE__ or die "cannot read my own help: $!\n";
    while (my $line = <$self>) {
        next if $. == 1;
        last if $line !~ s/\A# ?//;
        print $line;
    }
    print "\nOptions:\n", list_options(\%OPTIONS);
    return 0;
}

# How many tasks may run at a time, and the devices to share among them.
sub concurrency {
    my ($options) = @_;
    my $limit = $options->{'max-jobs-run'} // (int(cpu_count() / $options->{'num-threads'}) || 1);
    my $each = $options->{gpu} or return ($limit);
    my @gpus = gpu_list();
    if (@gpus < $each) {
        warn "--gpu $each, but this machine shows " . @gpus . ": one task at a time\n";
        return (1);
    }
    my $places = int(@gpus / $each);
    return ($places < $limit ? $places : $limit, @gpus);
}

# A function that says whether and how to stop ('', TERM, KILL), and one that says why.
sub stop_requests {
    my ($watch_parent) = @_;
    my ($signals, $cause) = (0, '');
    for my $signal (qw(INT TERM HUP)) {
        # Ignored by the caller (nohup, a background job) stays ignored.
        next if ($SIG{$signal} // '') eq 'IGNORE';
        $SIG{$signal} = sub { $signals++; $cause ||= "SIG$_[0]" };
    }
    my $gone = $watch_parent ? watch_driver() : sub { 0 };
    my $orphaned = 0;
    my $request = sub {
        $orphaned ||= $gone->();
        $cause ||= 'the caller is gone' if $orphaned;
        return $orphaned || $signals > 1 ? 'KILL' : $signals ? 'TERM' : '';
    };
    return ($request, sub { $cause });
}

sub tasks_of {
    my ($call) = @_;
    my ($name, @numbers) = $call->{range} ? ($call->{range}{name}, @{ $call->{range}{tasks} }) : (undef, 1);
    return map {
        my $number = $_;
        {
            number => $number,
            log => substitute($call->{log}, $name, $number),
            words => [map { substitute($_, $name, $number) } @{ $call->{command} }],
        };
    } @numbers;
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

sub main {
    my @arguments = @_;
    return print_help() if @arguments && $arguments[0] =~ /\A(?:-h|--help)\z/;
    my $call = parse_call(\%OPTIONS, @arguments);
    my $options = $call->{options};
    my ($stop_request, $stop_cause) = stop_requests($options->{'die-with-parent'} eq 'true');
    my @tasks = tasks_of($call);
    make_log_directories(@tasks);
    my ($limit, @gpus) = concurrency($options);
    my $pool = Dispatch::LocalTasks->new(
        limit => $limit,
        threads => $options->{'num-threads'},
        export_threads => $call->{given}{'num-threads'},
        operators => $options->{operators} eq 'true',
        kill_wait => $options->{'kill-wait'},
        gpus => \@gpus,
        gpus_each => $options->{gpu},
    );
    if (!$pool->run(\@tasks, $stop_request)) {
        my @open = map { $_->{number} } grep { !defined $_->{status} } @tasks;
        my $rest = @open ? '; not started: ' . compress(@open) : '';
        print STDERR "$NAME: ", $stop_cause->(), ": stopped the running tasks$rest\n";
        return 2;
    }
    my @failed = grep { $_->{status} } @tasks;
    return 0 if !@failed;
    print STDERR "$_\n" for report_failures($0, $call, scalar @tasks, \@failed);
    return 1;
}

$SIG{__WARN__} = sub { print STDERR "$NAME: warning: $_[0]" };
# A closed stderr must not end run.pl before its exit code is known.
$SIG{PIPE} = 'IGNORE';
my $code = eval { main(@ARGV) };
if (!defined $code) {
    my $error = ref $@ ? $@ : { code => 255, text => $@ =~ s/\n\z//r };
    print STDERR "$NAME: $error->{text}\n";
    $code = $error->{code};
}
exit $code;
