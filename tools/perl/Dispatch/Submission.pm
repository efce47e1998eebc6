package Dispatch::Submission;

# What the dispatcher and the tasks of one submission tell each other, in files of one directory:
#   LOGDIR/.dispatch/NAME/
#     job.sh                the script that the scheduler gets
#     spec                  what the tasks need to know: words, environment (for the user's eyes only)
#     N.ATTEMPT.run         task N has begun; touched every few seconds while it runs
#     N.ATTEMPT.status      task N has ended, and how
#     out.ID                what the scheduler had to say
# NAME is also the job's name. It is unique, so a job can be found and cancelled by it before its number is
# known. ATTEMPT is NAME.RESTARTS.HOST.PID: two attempts never write to the same file.

use strict;
use warnings;
use Errno ();
use Fcntl ();
use File::Basename ();
use Dispatch::Finished qw(replace_file side_file working_directory);
use Dispatch::Process qw(host_name);
use Dispatch::Spec qw(write_spec);
use Dispatch::Words qw(quote);

my $COUNT = 0;

# %arg: label (begins the job's name), tasks, array (the tasks' ids: number or index), job_id_variable (of the
# environment of a job), and for the spec: range_name, log, words, operators, threads, export_threads,
# resume_key, scheduler.
sub create {
    my ($class, %arg) = @_;
    my $self = bless { %arg }, $class;
    (my $label = substr $arg{label}, 0, 40) =~ s/[^A-Za-z0-9_.-]/_/ag;
    (my $host = host_name()) =~ s/\..*//s;
    $label = "j$label" if $label !~ /\A[A-Za-z]/a;
    $self->{name} = sprintf '%s.%s-%d-%d%s', $label, $host, $$, time, $COUNT ? "-$COUNT" : '';
    $COUNT++;
    my $here = working_directory();
    my $logs = File::Basename::dirname($arg{tasks}[0]{log});
    $logs = $logs eq '.' ? $here : "$here/$logs" if $logs !~ m{\A/};
    $self->{directory} = "$logs/.dispatch/$self->{name}";
    tidy(File::Basename::dirname($self->{directory}), "$label.$host");
    mkdir $self->{directory} or die { code => 1, text => "cannot make $self->{directory}: $!" };
    my $number = 0;
    for my $task (@{ $arg{tasks} }) {
        $number++;
        $task->{id} = $arg{array} eq 'number' ? $task->{number} : $number;
        $task->{submission} = $self;
    }
    write_spec($self, $here);
    $self->write_script;
    return $self;
}

sub path {
    my ($self, $name) = @_;
    return "$self->{directory}/$name";
}

sub write_script {
    my ($self) = @_;
    my $id = "\${$self->{job_id_variable}}";
    my $tools = File::Basename::dirname(File::Basename::dirname(__FILE__));
    my $text = join "\n", '#!/bin/sh', '# One task of an array; the words and the environment are in the spec.',
        'exec >>' . quote($self->path('out')) . ".$id 2>&1",
        join(' ', 'exec perl', quote("-I$tools"), quote("$tools/run_task.pl"), quote($self->{directory}), $id), '';
    replace_file($self->path('job.sh'), $text, oct 777)
        or die { code => 1, text => "cannot write $self->{directory}/job.sh: $!" };
    return;
}

# What tasks have reported since the last look: [number, attempt, { status or problem, ... }] each.
sub news {
    my ($self) = @_;
    opendir my $directory, $self->{directory} or return;
    my @found;
    for my $name (readdir $directory) {
        my ($number, $attempt) = $name =~ /\A(\d+)\.(.*)\.status\z/s or next;
        next if $self->{seen}{$name};
        open my $file, '<', $self->path($name) or next;
        my %report = map { /\A(\w+) (.*)\n/ ? ($1 => $2) : () } <$file>;
        $self->{seen}{$name} = 1;
        push @found, [$number, $attempt, \%report];
    }
    return @found;
}

# Some network file systems show new files of other hosts only after a change of one's own.
sub refresh {
    my ($self) = @_;
    my $path = $self->path("refresh.$$");
    sysopen my $file, $path, Fcntl::O_CREAT | Fcntl::O_WRONLY or return;
    unlink $path;
    return;
}

# The attempts of task $number that have begun: { attempt => time of the last sign of life }.
sub attempts {
    my ($self, $number) = @_;
    opendir my $directory, $self->{directory} or return {};
    my %alive;
    for my $name (readdir $directory) {
        my ($attempt) = $name =~ /\A\Q$number\E\.(.*)\.run\z/s or next;
        # Opening a file on a network file system asks the server for its times.
        open my $file, '<', $self->path($name) or next;
        $alive{$attempt} = (stat $file)[9];
    }
    return \%alive;
}

# The last lines that the scheduler printed for a task.
sub scheduler_output {
    my ($self, $task) = @_;
    open my $file, '<', $self->path("out.$task->{id}") or return '';
    my @lines = grep { /\S/ } <$file>;
    splice @lines, 0, -3 if @lines > 3;
    return join '', @lines;
}

# The name that the log of an attempt has while it runs.
sub attempt_log {
    my ($task, $attempt) = @_;
    return side_file($task->{log}, $attempt);
}

# Removes from $side what submissions of this host with the name $begin-PID-TIME left whose dispatcher is gone.
sub tidy {
    my ($side, $begin) = @_;
    opendir my $directory, $side or return;
    for my $name (readdir $directory) {
        my ($log, $pid) = $name =~ /\A(?:(.*)\.)?\Q$begin\E-(\d+)-\d+(?:-\d+)?(?:\.\d+\..*)?\z/s or next;
        next if kill(0, $pid) || $!{EPERM};
        if (!defined $log) {
            require File::Path;
            File::Path::remove_tree("$side/$name", { error => \my $ignored });
        } elsif ((readlink("$side/../$log") // '') eq ".dispatch/$name") {
            rename "$side/$name", "$side/../$log";
        } else {
            unlink "$side/$name";
        }
    }
    return;
}

# Logs that did not become the log of their task: of copies that were cancelled.
sub remove_attempt_logs {
    my ($self) = @_;
    my %side = map { File::Basename::dirname($_->{log}) . '/.dispatch' => 1 } @{ $self->{tasks} };
    my %used = map { defined readlink $_->{log} ? (File::Basename::basename(readlink $_->{log}) => 1) : () }
        @{ $self->{tasks} };
    for my $side (keys %side) {
        opendir my $directory, $side or next;
        unlink map { "$side/$_" } grep { /\.\Q$self->{name}\E\.\d+\./ && !$used{$_} } readdir $directory;
    }
    return;
}

# Removes the directory, or just what others must not see if something went wrong.
sub remove {
    my ($self, $keep) = @_;
    unlink $self->path('spec');
    $self->remove_attempt_logs;
    return if $keep;
    opendir my $directory, $self->{directory} or return;
    unlink map { $self->path($_) } grep { !/\A\.\.?\z/ } readdir $directory;
    rmdir $self->{directory};
    return;
}

1;
