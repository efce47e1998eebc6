package Dispatch::CommandLine;

# What every dispatcher is called with: [options] [JOB=1:n] [options] LOG command args...
#
# A dispatcher gives a table: name => { type, default, help } (names with dashes; underscores are taken too).
# `--name value` and `--name=value` both work. A misspelt option is an error that names the nearest known one.
# Exit codes are Kaldi's: 1 when the call lacks something, 255 when an option or the range cannot be
# understood.

use strict;
use warnings;
use Exporter 'import';
our @EXPORT_OK = qw(parse_call peek_option list_options compress);

my %TYPE = (
    count  => { pattern => qr/\A[1-9]\d{0,8}\z/,                 what => 'a whole number of at least 1' },
    number => { pattern => qr/\A(?:0|[1-9]\d{0,8})\z/,           what => 'a whole number' },
    bool   => { pattern => qr/\A(?:true|false)\z/,               what => 'true or false' },
    size   => { pattern => qr/\A\d+(?:\.\d+)?[KMGT]?B?\z/i,      what => 'a size such as 500M or 2G' },
    time   => { pattern => qr/\A\d+(?:-\d+)?(?::\d+){0,2}\z/,    what => 'a time such as 90 or 2-00:00:00' },
    text   => { pattern => qr/\A.*\z/s,                         what => 'a text' },
    file   => { pattern => qr/\A.+\z/s,                          what => 'a file name' },
);

# Options of the submit commands that Kaldi's scripts pass on; the number of words each takes.
my %LEGACY = ('-V' => 0, '-l' => 1, '-q' => 1, '-sync' => 1, '-pe' => 2);
my %ALIAS = ('-tc' => '--max-jobs-run');

sub fail {
    my ($code, $text) = @_;
    die { code => $code, text => $text };
}

# The words of a call as { options, given, range, log, command, head }: values by name (defaults filled in),
# the names that were given, the range { name, tasks, text } or undef, the log's name, the command's words,
# the option words for a rerun, and Kaldi's options for submit commands among them (legacy).
sub parse_call {
    my ($table, @words) = @_;
    my %call = (options => {}, given => {}, head => [], legacy => []);
    $call{options}{$_} = $table->{$_}{default} for keys %$table;
    while (@words) {
        if ($words[0] =~ /\A-./s) {
            push @{ $call{head} }, take_option($table, \%call, \@words);
        } elsif (!$call{range} && looks_like_range($words[0])) {
            $call{range} = parse_range(shift @words);
        } else {
            last;
        }
    }
    my $form = '[options] [JOB=1:n] [options] LOG command args...';
    fail(1, "give a log file and a command: $form (--help tells more)") if @words < 2;
    ($call{log}, @{ $call{command} }) = @words;
    check_log($call{log}, $call{range});
    return \%call;
}

# The last value of --$name among the options of a call that cannot be parsed yet: a configuration may
# describe further options.
sub peek_option {
    my ($name, @words) = @_;
    my $found;
    while (@words && ($words[0] =~ /\A-./s || looks_like_range($words[0]))) {
        my $word = shift @words;
        next if $word !~ /\A-/;
        my ($key, $value) = $word =~ /\A([^=]*)=(.*)\z/s ? ($1, $2) : ($word, undef);
        my @values = defined $value ? $value : splice @words, 0, $LEGACY{$word} // 1;
        $found = $values[0] if $key eq "--$name";
    }
    return $found;
}

# Takes one option with its value off @$words into %$call; returns the words it took.
sub take_option {
    my ($table, $call, $words) = @_;
    my $word = shift @$words;
    if (exists $LEGACY{$word}) {
        fail(1, "option $word needs $LEGACY{$word} value(s)") if @$words < $LEGACY{$word};
        my @taken = ($word, splice @$words, 0, $LEGACY{$word});
        push @{ $call->{legacy} }, @taken;
        return @taken;
    }
    my ($name, $value) = $word =~ /\A([^=]*)=(.*)\z/s ? ($1, $2) : ($word, undef);
    $name = $ALIAS{$name} // $name;
    (my $key = $name) =~ s/\A--//;
    $key =~ tr/_/-/;
    if ($name !~ /\A--/ || !$table->{$key}) {
        my @known = ((map { "--$_" } sort keys %$table), sort(keys %LEGACY, keys %ALIAS));
        fail(255, "unknown option $name; did you mean " . nearest($name, @known) . '? (--help lists them)');
    }
    if (!defined $value) {
        fail(1, "option $name needs a value") if !@$words;
        $value = shift @$words;
        fail(255, "option $name needs a value, but '$value' follows") if $value =~ /\A-[-A-Za-z]/;
    }
    my $type = $TYPE{ $table->{$key}{type} };
    fail(255, "option $name must be $type->{what}, not '$value'") if $value !~ $type->{pattern};
    fail(1, "option $name: cannot read '$value': $!") if $table->{$key}{type} eq 'file' && !-r $value;
    my $old = $call->{given}{$key} ? $call->{options}{$key} : undef;
    # Kaldi's rule: the smallest limit wins, of anything else the last word counts.
    $call->{options}{$key} = $key eq 'max-jobs-run' && defined $old && $old < $value ? $old : $value;
    $call->{given}{$key} = 1;
    return ("--$key", $value);
}

# NAME=... in front of the log's name is meant as a range, unless it names a path or a log file.
sub looks_like_range {
    my ($word) = @_;
    return $word =~ m{\A[A-Za-z_]\w*=[^/]*\z}a && $word !~ /\.(?:log|txt)\z/;
}

# JOB=1:4, JOB=3, or several of them, JOB=2,5:7 (what the report of failed tasks suggests).
sub parse_range {
    my ($word) = @_;
    my ($name, $text) = split /=/, $word, 2;
    my $bad = "invalid range '$word': write $name=1:n, $name=3 or $name=2,5:7 with numbers from 1";
    my %seen;
    for my $part (split /,/, $text, -1) {
        $part =~ /\A([1-9]\d{0,8})(?::([1-9]\d{0,8}))?\z/ or fail(255, $bad);
        my ($first, $last) = ($1, $2 // $1);
        fail(255, $bad) if $last < $first;
        $seen{$_} = 1 for $first .. $last;
    }
    fail(255, $bad) if !%seen;
    return { name => $name, tasks => [sort { $a <=> $b } keys %seen], text => $text };
}

# Tasks must not share a log; a log named for a range without one is most likely a forgotten JOB=1:n.
sub check_log {
    my ($log, $range) = @_;
    fail(1, 'the name of the log file is empty') if $log eq '';
    if ($range && @{ $range->{tasks} } > 1 && index($log, $range->{name}) < 0) {
        fail(1, "$range->{name}=$range->{text} is more than one task, but they would all write to the log "
            . "'$log': put $range->{name} into its name");
    }
    warn "the log '$log' has JOB in its name, but there is no JOB=1:n\n" if !$range && $log =~ m{\bJOB\b[^/]*\z};
    return;
}

# Task numbers as the shortest range text: 2,5:7.
sub compress {
    my @parts;
    for my $number (sort { $a <=> $b } @_) {
        if (@parts && $number == $parts[-1][1] + 1) {
            $parts[-1][1] = $number;
        } else {
            push @parts, [$number, $number];
        }
    }
    return join ',', map { $_->[0] == $_->[1] ? $_->[0] : "$_->[0]:$_->[1]" } @parts;
}

# The table of options as help text.
sub list_options {
    my ($table) = @_;
    my $text = '';
    for my $name (sort keys %$table) {
        my $default = $table->{$name}{default};
        $text .= sprintf "  --%-22s %s%s\n", "$name " . uc $table->{$name}{type}, $table->{$name}{help},
            defined $default ? " (default: $default)" : '';
    }
    return $text;
}

# The string of @known nearest to $word: one that begins with it, else by edit distance.
sub nearest {
    my ($word, @known) = @_;
    my %away = map { $_ => index($_, $word) == 0 ? 1 : distance($word, $_) } @known;
    return (sort { $away{$a} <=> $away{$b} || $a cmp $b } @known)[0];
}

sub distance {
    my ($from, $to) = @_;
    my @row = (0 .. length $to);
    for my $i (1 .. length $from) {
        my @next = ($i);
        for my $j (1 .. length $to) {
            my $least = $row[$j - 1] + (substr($from, $i - 1, 1) ne substr($to, $j - 1, 1));
            for my $other ($row[$j] + 1, $next[$j - 1] + 1) {
                $least = $other if $other < $least;
            }
            push @next, $least;
        }
        @row = @next;
    }
    return $row[-1];
}

1;
