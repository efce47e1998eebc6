package Dispatch::Command;

# Runs one of the scheduler's commands. None of them may hang the dispatcher, and none is reached by the
# terminal's Ctrl-C: a submission that is cut off would leave a job of which nobody knows.

use strict;
use warnings;
use POSIX qw(:sys_wait_h);
use Dispatch::Process qw(now);
use Exporter 'import';
our @EXPORT_OK = qw(run_command);

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
