package Dispatch::Words;

# The words of a command: the task number put in, how bash gets them, how a person sees them.
#
# The range's name is replaced wherever it occurs in a word, inside other text too (feats.JOB.scp, splitJOB),
# in the log's name and in every word of the command, quoted or not: Kaldi's rule. Pick another name
# (TASK=1:4) if "JOB" is part of a path.
#
# Words are literal. They reach bash as positional parameters, never as shell text, so that blanks, quotes, $,
# *, ` and line ends in a file name mean nothing. Only a word that is exactly one of the operators below acts
# (in Kaldi's scripts: \| \> '&&').

use strict;
BEGIN { $^W = 1 }
use Exporter 'import';
our @EXPORT_OK = qw(substitute operators_in shell_script quote display);

my @OPERATORS = ('|', '|&', '||', '&&', ';', '<', '>', '>>', '2>', '2>>', '2>&1', '>&2');
my %OPERATOR = map { $_ => 1 } @OPERATORS;

# A word that bash would not read as an ordinary word, though it needs no quotes as text.
my %RESERVED = map { $_ => 1 }
    qw(case coproc do done elif else esac fi for function if in select then time until while);

# $text with every occurrence of $name replaced by $number; unchanged if there is no range ($name undefined).
sub substitute {
    my ($text, $name, $number) = @_;
    $text =~ s/\Q$name\E/$number/g if defined $name;
    return $text;
}

# The words among @_ that are operators.
sub operators_in {
    return grep { $OPERATOR{$_} } @_;
}

# (script, parameters...) for bash -c: a word becomes a positional parameter, an operator (if $operators)
# stands for itself.
sub shell_script {
    my ($operators, @words) = @_;
    return ('"$@"', @words) if !$operators || !operators_in(@words);
    my (@script, @parameters);
    for my $word (@words) {
        if ($OPERATOR{$word}) {
            push @script, $word;
        } else {
            push @parameters, $word;
            push @script, '"${' . @parameters . '}"';
        }
    }
    return ("@script", @parameters);
}

# One word as bash would have to read it to get the same word.
sub quote {
    my ($word) = @_;
    if ($word =~ /[\x00-\x1f\x7f]/) {
        $word =~ s/([\\'])/\\$1/g;
        $word =~ s/\n/\\n/g;
        $word =~ s/\t/\\t/g;
        $word =~ s/([\x00-\x1f\x7f])/sprintf '\\%03o', ord $1/ge;
        return "\$'$word'";
    }
    my $plain = $word =~ m{\A[\w\-+=/.,:@%]+\z}a && $word !~ /\A[A-Za-z_]\w*\+?=/a && !$RESERVED{$word};
    return $word if $plain;
    $word =~ s/'/'\\''/g;
    return "'$word'";
}

# The command on one line as it runs; bash reads it back as the same command.
sub display {
    my ($operators, @words) = @_;
    return join ' ', map { $operators && $OPERATOR{$_} ? $_ : quote($_) } @words;
}

1;
