package Dispatch::Spec;

# What the tasks of a submission need to know, in the file spec of its directory: lists of words, each behind its
# length, every word with a zero byte at its end. For the user's eyes only, because of the environment.

use strict;
BEGIN { $^W = 1 }
use Dispatch::Finished qw(replace_file);
use Dispatch::TaskLog qw(zone);
use Exporter 'import';
our @EXPORT_OK = qw(read_spec write_spec);

# Writes the spec of a submission whose tasks begin in the directory $here.
sub write_spec {
    my ($submission, $here) = @_;
    my %scalars = (
        directory => $here,
        umask => umask,
        zone => join(' ', zone()),
        map { $_ => $submission->{$_} // '' }
            qw(name array range_name log operators threads export_threads resume_key scheduler),
    );
    my @lists = (
        [%scalars],
        [map { $_->{number} } @{ $submission->{tasks} }],
        $submission->{words},
        [passed_environment()],
    );
    # No argument and no variable can have a zero byte in it.
    my $text = join '', map { "$_\0" } map { scalar @$_, @$_ } @lists;
    replace_file("$submission->{directory}/spec", $text, oct 600)
        or die { code => 1, text => "cannot write $submission->{directory}/spec: $!" };
    return;
}

# Variables that belong to one host, session or job are not passed on, others are, as names and values.
sub passed_environment {
    my $not_passed = qr/\A(?: SLURM_.* | SLURMD_.* | SGE_.* | PE | PE_.* | JOB_(?:ID|NAME|SCRIPT) | TASK_ID | ARC
        | QUEUE | NHOSTS | NQUEUES | NSLOTS | REQUEST | REQNAME | RESTARTED | ENVIRONMENT | TMP | TMPDIR | HOST
        | HOSTNAME | PWD | OLDPWD | SHLVL | _ | CUDA_VISIBLE_DEVICES | ROCR_VISIBLE_DEVICES
        | GPU_DEVICE_ORDINAL | ZE_AFFINITY_MASK | DISPATCH_DRIVER_PID | XDG_RUNTIME_DIR | XDG_SESSION_.*
        | SSH_(?:CLIENT|CONNECTION|TTY) )\z/x;
    my $after_all = qr/\A(?: SLURM_CONF | SGE_(?:ROOT|CELL|ARCH|QMASTER_PORT|EXECD_PORT) )\z/x;
    return map { $_ => $ENV{$_} } grep { $_ =~ $after_all || $_ !~ $not_passed } sort keys %ENV;
}

# The lists of a spec, as write_spec has them.
sub read_spec {
    my ($directory) = @_;
    open my $file, '<', "$directory/spec" or die "cannot read $directory/spec: $!\n";
    local $/;
    my @fields = split /\0/, <$file> // '', -1;
    my @lists = map { [splice @fields, 0, shift @fields // die "$directory/spec is not complete\n"] } 1 .. 4;
    return ({ @{ $lists[0] } }, @lists[1 .. 3]);
}

1;
