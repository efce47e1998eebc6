package Dispatch::Machine;

# What this machine has: processors this process may use, GPUs.

use strict;
use warnings;
use Exporter 'import';
our @EXPORT_OK = qw(cpu_count gpu_list);

# Processors that this process may run on (at least 1).
sub cpu_count {
    if (open my $status, '<', '/proc/self/status') {
        my ($allowed) = map { /\ACpus_allowed_list:\s*(\S+)/ ? $1 : () } <$status>;
        if (defined $allowed) {
            my $count = 0;
            $count += /\A(\d+)-(\d+)\z/ ? $2 - $1 + 1 : 1 for split /,/, $allowed;
            return $count;
        }
    }
    my $count = qx(getconf _NPROCESSORS_ONLN 2>/dev/null);
    return $count =~ /\A([1-9]\d*)/ ? $1 : 1;
}

# The GPUs as CUDA_VISIBLE_DEVICES names them: that variable's own list if it is set, else what nvidia-smi
# lists.
sub gpu_list {
    return split /,/, $ENV{CUDA_VISIBLE_DEVICES} if defined $ENV{CUDA_VISIBLE_DEVICES};
    my @cards = grep { /\AGPU \d+:/ } qx(nvidia-smi -L 2>/dev/null);
    return 0 .. $#cards;
}

1;
