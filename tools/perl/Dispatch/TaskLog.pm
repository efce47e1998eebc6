package Dispatch::TaskLog;

# The log of one task, in Kaldi's layout:
#   # command
#   # Started at DATE
#   #                       (on a cluster: # on HOST, JOB)
#   (what the command prints, both streams)
#   # Accounting: time=S threads=N
#   # Ended (code N) at DATE, elapsed time S seconds
# A command ended by a signal has "(code 128+M; signal M)". A log without the last line belongs to a task that
# did not end by itself or still runs. The log tells people; success is judged by the exit status alone.

use strict;
BEGIN { $^W = 1 }
use Exporter 'import';
our @EXPORT_OK = qw(know_zone zone write_header write_footer exit_code describe_status last_lines);

# Names of time zones by their minutes east of Greenwich.
my %ZONE;

# The moment as `date` prints it.
sub date {
    my ($day, $month, $date, $clock, $year) = split ' ', scalar localtime;
    return sprintf '%s %s %2d %s %s %s', $day, $month, $date, $clock, (zone())[1], $year;
}

# The time zone of this place and season: (minutes, name).
sub zone {
    my $now = time;
    my @here = localtime $now;
    my @greenwich = gmtime $now;
    my $days = $here[5] <=> $greenwich[5] || $here[7] <=> $greenwich[7];
    my $minutes = 1440 * $days + 60 * ($here[2] - $greenwich[2]) + $here[1] - $greenwich[1];
    if (!defined $ZONE{$minutes}) {
        require POSIX;
        $ZONE{$minutes} = POSIX::strftime('%Z', @here);
    }
    return ($minutes, $ZONE{$minutes});
}

# A zone's name as another process knows it: to ask for it takes as long as all else of a short task.
sub know_zone {
    my ($minutes, $name) = @_;
    $ZONE{$minutes} = $name;
    return;
}

# Begins the log $path anew, with $place for where the task runs if that is not here; dies if it cannot be
# written.
sub write_header {
    my ($path, $command, $place) = @_;
    my $text = "# $command\n# Started at " . date() . "\n#" . (defined $place ? " $place" : '') . "\n";
    my $log;
    my $written = open($log, '>', $path) && print({$log} $text) && close $log;
    die { code => 1, text => "cannot write the log $path: $!" } if !$written;
    return;
}

# Ends the log $path of a task with the given status (as wait gives it). True if that worked.
sub write_footer {
    my ($path, $status, $seconds, $threads) = @_;
    my $code = exit_code($status);
    my $signal = $status & 127;
    my $how = $signal ? "code $code; signal $signal" : "code $code";
    open my $log, '+>>', $path or return 0;
    my $gap = ends_in_line_end($log) ? '' : "\n";
    my $ended = "# Ended ($how) at " . date() . ", elapsed time $seconds seconds";
    return print({$log} "$gap# Accounting: time=$seconds threads=$threads\n$ended\n") && close $log;
}

sub ends_in_line_end {
    my ($log) = @_;
    return 1 if !-s $log;
    seek $log, -1, 2;
    read $log, my $last, 1;
    return $last eq "\n";
}

# The exit code a shell would give for the wait status $status.
sub exit_code {
    my ($status) = @_;
    return $status & 127 ? 128 + ($status & 127) : $status >> 8;
}

# What a wait status means, in words.
sub describe_status {
    my ($status) = @_;
    my $signal = $status & 127;
    my $code = exit_code($status);
    my $text = $signal ? 'ended by signal SIG' . signal_name($signal) : "exit code $code";
    $text .= ': command not found' if $code == 127;
    $text .= ': command cannot be executed' if $code == 126;
    $text .= ': killed from outside, often for want of memory' if $code == 137;
    return $text;
}

sub signal_name {
    my ($number) = @_;
    # Loaded where it is needed: it takes as long as all else of a short task.
    require Config;
    return $Config::Config{sig_name} ? (split ' ', $Config::Config{sig_name})[$number] : $number;
}

# The last $count lines that the command itself printed, shortened to 300 bytes each.
sub last_lines {
    my ($path, $count) = @_;
    open my $log, '<', $path or return ();
    my $size = -s $log;
    seek $log, -65536, 2 if $size > 65536;
    my @lines = <$log>;
    shift @lines if $size > 65536;
    splice @lines, 0, 3 if $size <= 65536;
    pop @lines while @lines && $lines[-1] =~ /\A# (?:Accounting|Ended)\b/;
    splice @lines, 0, -$count if @lines > $count;
    chomp @lines;
    return map { length > 300 ? substr($_, 0, 300) . '...' : $_ } @lines;
}

1;
