package Dispatch::ClusterConfig;

# conf/slurm.conf and conf/queue.conf, in Kaldi's grammar. One line each:
#   command sbatch --export=ALL       the submit command (required)
#   option mem=* --mem=$0             what --mem VALUE adds to it; $0 is the value
#   option gpu=0                      what just this value adds: here nothing; it goes before the * line
#   default gpu=0                     the value if the option is not given; stands before its option lines
#   # a comment, to the end of the line
# Underscores and dashes in names are the same. Words with blanks are quoted as for a shell.

use strict;
use warnings;
use Text::ParseWords qw(shellwords);
use Exporter 'import';
our @EXPORT_OK = qw(read_config further_options submit_command);

sub fail {
    my ($code, $text) = @_;
    die { code => $code, text => $text };
}

# The configuration $file, or the text $builtin if $file is undefined, as { file, command, options, defaults }.
sub read_config {
    my ($file, $builtin) = @_;
    my $text = $builtin;
    if (defined $file) {
        open my $source, '<', $file or fail(1, "cannot read the configuration $file: $!");
        local $/;
        $text = <$source> // '';
    }
    my %config = (file => $file // 'the built-in configuration', options => {}, defaults => {});
    my $number = 0;
    for my $line (split /\n/, $text) {
        $number++;
        (my $content = $line) =~ s/#.*//;
        next if $content !~ /\S/;
        my $problem = add_line(\%config, $content);
        fail(255, "$config{file}:$number: $problem: $line") if defined $problem;
    }
    fail(255, "$config{file}: there is no line 'command ...'") if !$config{command};
    return \%config;
}

# Takes one line in; says what is wrong with it, or nothing.
sub add_line {
    my ($config, $line) = @_;
    my ($kind, $rest) = $line =~ /\A\s*(\S+)\s*(.*?)\s*\z/s;
    if ($kind eq 'command') {
        my @words = shellwords($rest);
        return 'what is the command?' if !@words;
        return 'there is a command already' if $config->{command};
        $config->{command} = \@words;
        return undef;
    }
    return "a line begins with command, option or default, not with '$kind'"
        if $kind !~ /\A(?:option|default)\z/;
    my ($name, $value, $text) = $rest =~ /\A([A-Za-z][\w-]*)=(\S+)\s*(.*)\z/as
        or return "write $kind NAME=VALUE" . ($kind eq 'option' ? ' TEXT' : '');
    $name =~ tr/_/-/;
    if ($kind eq 'default') {
        return "what is '$text'?" if $text ne '';
        return "the default of $name comes after its option lines" if $config->{options}{$name};
        $config->{defaults}{$name} = $value;
        return undef;
    }
    my @words = shellwords($text);
    return 'quotes are not closed' if $text ne '' && !@words;
    $config->{options}{$name}{$value} = \@words;
    return undef;
}

# Options that only the configuration knows, as entries for the table of Dispatch::CommandLine.
sub further_options {
    my ($config, $known) = @_;
    my @names = grep { !$known->{$_} } keys %{ $config->{options} };
    return map { $_ => { type => 'text', help => "as $config->{file} describes" } } @names;
}

# The words of the submit command for the options of a call. $native names the options that the dispatcher
# deals with itself; $spell->(name, value, all values) gives a value as the scheduler writes it; $builtin is the
# configuration of a dispatcher without a file.
sub submit_command {
    my ($config, $call, $native, $spell, $builtin) = @_;
    my %value = %{ $config->{defaults} };
    $value{$_} = $call->{options}{$_} for keys %{ $call->{given} };
    fail(255, 'option --notice needs --time, before the end of which it is given')
        if defined $value{notice} && !defined $value{time};
    my @words = @{ $config->{command} };
    my @missing;
    for my $name (sort keys %value) {
        next if $native->{$name};
        my $value = $value{$name};
        my $added = described($config, $name, $value);
        push @missing, undescribed($config, $name, $value, $builtin) if !$added;
        my $spelled = $spell->($name, $value, \%value);
        push @words, map { s/\$0/$spelled/gr } @$added;
    }
    fail(255, join "\n", @missing) if @missing;
    return @words;
}

# What the configuration adds for an option's value; undef if it has no line for it.
sub described {
    my ($config, $name, $value) = @_;
    my $lines = $config->{options}{$name} // {};
    return $lines->{$value} // $lines->{'*'};
}

# What to say of an option that has no line, and which one would do.
sub undescribed {
    my ($config, $name, $value, $builtin) = @_;
    my $which = "option --$name is not described in $config->{file}";
    $which .= " for the value '$value'" if $config->{options}{$name};
    my $lines = $builtin->{options}{$name} // {};
    my $for = $lines->{$value} ? $value : '*';
    return $which if !$lines->{$for};
    return "$which; add a line such as: " . join ' ', 'option ' . $name =~ tr/-/_/r . "=$for", @{ $lines->{$for} };
}

1;
