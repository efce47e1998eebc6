package Dispatch::Cluster;

# slurm.pl and queue.pl, but for their scheduler.

use strict;
use warnings;
use File::Basename ();
use Dispatch::ClusterConfig qw(further_options read_config submit_command);
use Dispatch::ClusterTasks;
use Dispatch::CommandLine qw(compress parse_call peek_option);
use Dispatch::Finished qw(make_side_directory);
use Dispatch::Program
    qw(common_options conclude print_help stop_requests tasks_of without_finished);
use Dispatch::Scheduler;
use Exporter 'import';
our @EXPORT_OK = qw(dispatch);

# Options that the dispatcher deals with itself; all others are for the configuration to describe.
my %NATIVE = map { $_ => 1 }
    qw(max-jobs-run config operators kill-wait die-with-parent resume resume-key retries submit-timeout name);

# Runs the call @arguments of the program $file with the scheduler $backend; the exit code.
sub dispatch {
    my ($backend, $file, @arguments) = @_;
    my $program = File::Basename::basename($0);
    my $table = common_options('config' => 'description of the cluster (default: ' . $backend->config_file
            . ' here, else of the project)');
    return print_help($file, $table) if @arguments && $arguments[0] =~ /\A(?:-h|--help)\z/;
    my $config_file = peek_option('config', @arguments);
    $config_file //= default_config($backend->config_file);
    # A file that cannot be read is for the parser to complain about, as in run.pl.
    my $readable = defined $config_file && -r $config_file ? $config_file : undef;
    my $config = read_config($readable, $backend->builtin_config);
    my $call = parse_call({ %$table, further_options($config, $table) }, @arguments);
    my $options = $call->{options};
    my $builtin = read_config(undef, $backend->builtin_config);
    my @words = submit_command($config, $call, \%NATIVE, $backend->can('spell'), $builtin);
    my ($stop_request, $stop_cause) = stop_requests($options->{'die-with-parent'} eq 'true');
    my @all = tasks_of($call);
    make_side_directory($_) for map { $_->{log} } @all;
    my @tasks = without_finished($program, $call, @all);
    my $say = sub { print STDERR "$program: $_[0]\n" };
    my $scheduler = Dispatch::Scheduler->new(
        backend => $backend,
        say => $say,
        words => \@words,
        legacy => $call->{legacy},
        limit => $options->{'max-jobs-run'},
        timeout => $options->{'submit-timeout'},
    );
    my $pool = Dispatch::ClusterTasks->new(
        scheduler => $scheduler,
        describe => sub { description($backend, $call, @_) },
        retries => $options->{retries},
        kill_wait => $options->{'kill-wait'},
        say => $say,
    );
    my $complete = eval { $pool->run(\@tasks, $stop_request) };
    if (!defined $complete) {
        my $error = $@;
        $pool->clean(1);
        die $error;
    }
    if (!$complete) {
        $say->(stop_message($stop_cause->(), $pool));
        $pool->clean($pool->{stuck});
        return 2;
    }
    my $code = conclude($0, $call, scalar @all, \@tasks);
    $pool->clean($code);
    return $code;
}

# The configuration of the working directory, else of the project; undef if neither is there.
sub default_config {
    my ($name) = @_;
    my $project = File::Basename::dirname(__FILE__) . '/../../..';
    return (grep { -e } $name, "$project/$name")[0];
}

# What a submission of @tasks has to know.
sub description {
    my ($backend, $call, @tasks) = @_;
    my $options = $call->{options};
    my $word = $call->{range} ? $call->{range}{name} : 'JOB';
    return (
        label => $options->{name} // File::Basename::basename($call->{log}) =~ s/\.log\z//r =~ s/\.?\b$word\b//r,
        tasks => \@tasks,
        array => $backend->can('array_kind')->(\@tasks),
        job_id_variable => $backend->id_variable,
        scheduler => $backend->title,
        range_name => $call->{range} ? $call->{range}{name} : '',
        log => $call->{log},
        words => $call->{command},
        operators => $options->{operators} eq 'true' ? 1 : 0,
        threads => $options->{'num-threads'},
        export_threads => $call->{given}{'num-threads'} ? 1 : 0,
        resume_key => $options->{'resume-key'},
    );
}

sub stop_message {
    my ($cause, $pool) = @_;
    my @over = grep { $_->{over} } @{ $pool->{tasks} };
    my $rest = @over ? '; finished: ' . compress(map { $_->{number} } @over) : '';
    return "$cause: cancelled the tasks$rest" if !$pool->{stuck};
    return "$cause: could not cancel " . join(' ', @{ $pool->{left} })
        . ' yet; a process in the background goes on trying';
}

1;
