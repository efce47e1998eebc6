#!/usr/bin/env perl
# Runs one task of an array on a node of a cluster; called by the job script of slurm.pl and queue.pl:
#   run_task.pl DIRECTORY-OF-THE-SUBMISSION ID-OF-THE-TASK

use strict;
BEGIN { $^W = 1 }
use Dispatch::JobSide qw(run_task);

die "usage: run_task.pl DIRECTORY ID\n" if @ARGV != 2;
exit run_task(@ARGV);
