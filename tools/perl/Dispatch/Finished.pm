package Dispatch::Finished;

# Which tasks have succeeded before, for --resume.
#
# LOGDIR/.dispatch/<log's name>.done holds the fingerprint of the command that succeeded with that log: the
# directory, the log, the words, and the caller's --resume-key. It is compared as it stands. It goes away when
# the task is started again, so it always speaks of the last attempt. What the command read or wrote is not
# looked at: a caller whose inputs may change gives a checksum of them as the key.

use strict;
BEGIN { $^W = 1 }
use Dispatch::Words qw(display quote);
use Exporter 'import';
our @EXPORT_OK =
    qw(fingerprint forget is_finished make_side_directory remember replace_file side_file working_directory);

# On every system; %! would load Errno (see Process).
my $ENOENT = 2;

# The path LOGDIR/.dispatch/<log's name>.<suffix>.
sub side_file {
    my ($log, $suffix) = @_;
    my ($directory, $name) = $log =~ m{\A(.*/)?(.*)\z}s;
    return ($directory // '') . ".dispatch/$name.$suffix";
}

# Makes LOGDIR/.dispatch.
sub make_side_directory {
    my ($log) = @_;
    my $side = side_file($log, '') =~ s{/[^/]*\z}{}r;
    return if mkdir($side) || -d $side;
    # Tasks find it there and do without the module, which takes time to load.
    require File::Path;
    File::Path::make_path($side, { error => \my $errors });
    return if -d $side;
    my ($reason) = map { values %$_ } @$errors;
    die { code => 1, text => "cannot make the directory $side: " . ($reason // 'it is a file') };
}

# The current directory by the name that the caller knows it by: on clusters the name without symbolic links
# may be that of one host alone.
sub working_directory {
    my $known = $ENV{PWD} // '';
    my ($here, $there) = map { join ':', (stat)[0, 1] } '.', $known;
    return $known if $known =~ m{\A/} && $here eq $there;
    require Cwd;
    return Cwd::getcwd();
}

sub fingerprint {
    my ($log, $operators, $key, @words) = @_;
    return 'directory ' . quote(working_directory()) . "\nlog " . quote($log) . "\nkey " . quote($key)
        . "\ncommand " . display($operators, @words) . "\n";
}

sub is_finished {
    my ($log, $fingerprint) = @_;
    open my $marker, '<', side_file($log, 'done') or return 0;
    local $/;
    return (<$marker> // '') eq $fingerprint;
}

sub remember {
    my ($log, $fingerprint) = @_;
    my $written = eval { make_side_directory($log); replace_file(side_file($log, 'done'), $fingerprint) };
    warn "cannot remember that $log is finished: ", (ref $@ ? $@->{text} : $!), "\n" if !$written;
    return;
}

sub forget {
    my ($log) = @_;
    my $marker = side_file($log, 'done');
    return if unlink($marker) || $! == $ENOENT;
    die { code => 1, text => "cannot remove $marker: $!" };
}

# Writes a file under a name of its own and renames it; true if that worked (else $! tells).
sub replace_file {
    my ($path, $text, $mode) = @_;
    my $temporary = "$path.$$.new";
    my $file = open_new($temporary, $mode);
    return 1 if $file && print({$file} $text) && close($file) && rename $temporary, $path;
    my $error = $!;
    unlink $temporary;
    $! = $error;
    return 0;
}

sub open_new {
    my ($path, $mode) = @_;
    my $file;
    if (!defined $mode) {
        open $file, '>', $path or return;
    } else {
        require Fcntl;
        sysopen $file, $path, Fcntl::O_WRONLY() | Fcntl::O_CREAT() | Fcntl::O_TRUNC(), $mode or return;
    }
    return $file;
}

1;
