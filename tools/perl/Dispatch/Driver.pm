package Dispatch::Driver;

# Notices that nobody waits for this dispatcher any more, so that a pipeline that was killed does not run on
# behind its user's back.
#
# Watched are the parent process and, if DISPATCH_DRIVER_PID is set, that process too: a pipeline's driver
# exports its own pid, because the stage script between the driver and the dispatcher outlives the driver.

use strict;
use warnings;
use Exporter 'import';
our @EXPORT_OK = qw(watch_driver);

# A function that is true once the parent or the driver is gone.
sub watch_driver {
    my $parent = getppid;
    my $driver = $ENV{DISPATCH_DRIVER_PID};
    return sub { getppid != $parent } if !defined $driver || $driver !~ /\A[1-9]\d*\z/;
    my $birth = birth($driver);
    return sub { getppid != $parent || $birth eq '' || birth($driver) ne $birth };
}

# When process $pid began (so that a later process with the same number is not taken for it); '' if there is
# none or it is dead and only not yet collected by its parent.
sub birth {
    my ($pid) = @_;
    return kill(0, $pid) || $!{EPERM} ? 'alive' : '' if !-r '/proc/self/stat';
    open my $stat, '<', "/proc/$pid/stat" or return '';
    my $line = <$stat> // '';
    # The name in brackets may hold blanks and brackets; after it: state (field 3) ... start time (field 22).
    my @field = split ' ', substr $line, rindex($line, ')') + 1;
    return @field < 20 || $field[0] =~ /[ZX]/ ? '' : $field[19];
}

1;
