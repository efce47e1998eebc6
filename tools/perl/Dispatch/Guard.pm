package Dispatch::Guard;

# A small process beside the dispatcher that ends the dispatcher's tasks when the dispatcher is gone, however
# it went (SIGKILL too).
#
# It reads a pipe that only the dispatcher holds open. "+NAME" and "-NAME" say what runs (process groups, jobs
# of a scheduler); end of file means that the dispatcher is gone: what is left is ended. A local task adds
# itself before it starts its command, a job is added before it is submitted, so that there is no moment in
# which something runs unwatched. The guard has a session and a name of
# its own: what is aimed at the dispatcher (Ctrl-C, its process group, its name) misses it. It keeps inherited
# files open until the tasks are gone, so a lock taken by the driver with flock is free only after that.

use strict;
use warnings;
use POSIX ();

# Starts a guard over @names (without white space); it calls $end->(names left) when the dispatcher is gone.
sub start {
    my ($class, $end, @names) = @_;
    pipe my $reader, my $writer or die "cannot make a pipe: $!\n";
    my $pid = fork // die "cannot start a process: $!\n";
    if ($pid == 0) {
        close $writer;
        watch($reader, $end);
        POSIX::_exit(0);
    }
    close $reader;
    my $self = bless { pid => $pid, writer => $writer }, $class;
    $self->add($_) for @names;
    return $self;
}

sub pid { return $_[0]{pid} }

sub add {
    my ($self, $name) = @_;
    return $self->tell("+$name\n");
}

sub remove {
    my ($self, $name) = @_;
    return $self->tell("-$name\n");
}

# Short writes to a pipe are atomic, so the dispatcher and starting tasks may all write. A guard that was
# itself killed is replaced by the dispatcher when it notices; until then the words are lost, and the new
# guard gets the whole list.
sub tell {
    my ($self, $line) = @_;
    local $SIG{PIPE} = 'IGNORE';
    syswrite $self->{writer}, $line;
    return;
}

# Lets the guard end, having nothing left to watch.
sub dismiss {
    my ($self) = @_;
    close $self->{writer};
    waitpid $self->{pid}, 0;
    return;
}

sub watch {
    my ($reader, $end) = @_;
    $SIG{$_} = 'IGNORE' for qw(INT TERM HUP QUIT);
    $SIG{CHLD} = 'DEFAULT';
    POSIX::setsid();
    $0 = 'task-guard';
    # A caller that reads the dispatcher's output waits for its end of file.
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', '/dev/null';
    open STDERR, '>', '/dev/null';
    my %running;
    while (my $line = <$reader>) {
        if ($line =~ /\A\+(\S+)$/) {
            $running{$1} = 1;
        } elsif ($line =~ /\A-(\S+)$/) {
            delete $running{$1};
        }
    }
    $end->(sort keys %running) if %running;
    return;
}

1;
