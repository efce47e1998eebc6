"""conf/slurm.conf and conf/queue.conf: the grammar, and what the options of a call become."""

import pytest
from cluster_helpers import perl
from run_pl_helpers import ROOT


def asked_for(dispatcher, *words) -> list[str]:
    """What a call adds to the submit command before the dispatcher's own words."""
    call = dispatcher.submitted(*words)
    own = "--no-requeue" if dispatcher.submit == "sbatch" else "-w"
    return call[: call.index(own)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], []),
        (["--mem", "2G", "--num-threads", 3], ["--mem=2G", "--cpus-per-task=3"]),
        (["--mem", "1.5G", "--gpu", 0], ["--mem=1536M"]),
        (["--mem", "300"], ["--mem=300"]),
        (["--mem", "0.5TB"], ["--mem=512G"]),
        (["--gpu", 2, "--time", "2-00:00:00"], ["--gres=gpu:2", "--time=2-00:00:00"]),
        (["--notice", 90, "--time", 5], ["--signal=B:USR1@90", "--time=5"]),
    ],
)
def test_built_in_options_of_slurm(slurm_pl, options, words):
    assert asked_for(slurm_pl, *options, "a.log", "true") == ["--export=ALL", *words]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], []),
        (["--mem", "2g", "--num-threads", 3], ["-l", "mem_free=2G,ram_free=2G", "-pe", "smp", "3"]),
        (["--mem", "1.5G", "--num-threads", 1], ["-l", "mem_free=1536M,ram_free=1536M"]),
        (["--mem", "2TB", "--gpu", 0], ["-l", "mem_free=2048G,ram_free=2048G"]),
        (["--gpu", 2, "--time", "90"], ["-l", "gpu=2", "-l", "h_rt=5400"]),
        (["--time", "1:30"], ["-l", "h_rt=90"]),
        (["--time", "12:00:05"], ["-l", "h_rt=43205"]),
        (["--time", "2-1"], ["-l", "h_rt=176400"]),
        (["--time", "1-0:2:3"], ["-l", "h_rt=86523"]),
        (["--notice", 90, "--time", 5], ["-notify", "-l", "s_rt=210", "-l", "h_rt=300"]),
        (["--notice", 90, "--time", 1], ["-notify", "-l", "s_rt=1", "-l", "h_rt=60"]),
    ],
)
def test_built_in_options_of_grid_engine(queue_pl, options, words):
    assert asked_for(queue_pl, *options, "a.log", "true") == ["-v", "PATH", "-S", "/bin/bash", *words]


@pytest.mark.parametrize("program", ["slurm_pl", "queue_pl"])
def test_a_notice_of_no_end_is_refused(request, program):
    done = request.getfixturevalue(program)("--notice", 90, "a.log", "true")
    assert done.returncode == 255
    assert "option --notice needs --time, before the end of which it is given" in done.stderr


def test_the_project_s_files_are_the_built_in_ones():
    code = """use Dispatch::ClusterConfig 'read_config'; use Dispatch::Slurm; use Dispatch::GridEngine;
        sub text {
            my ($config) = @_;
            my $options = $config->{options};
            return join "\\n", "@{ $config->{command} }", (keys %{ $config->{defaults} }), map {
                my $name = $_;
                map { "$name=$_ @{ $options->{$name}{$_} }" } sort keys %{ $options->{$name} };
            } sort keys %$options;
        }
        for my $backend (qw(Dispatch::Slurm Dispatch::GridEngine)) {
            my $file = text(read_config("$ARGV[0]/" . $backend->config_file));
            my $built_in = text(read_config(undef, $backend->builtin_config));
            print $file eq $built_in ? 'same ' : $file . $built_in;
        }"""
    assert perl(code, str(ROOT)) == "same same "


CONFIG = """\
# a comment
command SUBMIT  --account 'my group'   # another

default gpu=0
option gpu=0
option gpu=* --partition=gpu --gpus $0
option mem=*   --mem-per-cpu $0/$0
option num_nodes=* -N $0
option queue=fast --qos=fast
"""


@pytest.fixture
def configured(cluster):
    (cluster.directory / "my.conf").write_text(CONFIG.replace("SUBMIT", cluster.submit))
    return cluster


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], []),
        (["--gpu", 1], ["--partition=gpu", "--gpus", "1"]),
        (["--mem=4G"], ["--mem-per-cpu", "4G/4G"]),
        (["--num-nodes", 2, "--queue", "fast"], ["-N", "2", "--qos=fast"]),
        (["--num_nodes=2", "--resume-key", "k", "--retries", 1, "--max-jobs-run", 2], ["-N", "2"]),
    ],
)
def test_options_of_a_configuration(configured, options, words):
    asked = asked_for(configured, *options, "--config", "my.conf", "JOB=1:2", "a.JOB.log", "true")
    assert asked == ["--account", "my group", *words]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--time", 3], "option --time is not described in my.conf"),
        (["--queue", "slow"], "option --queue is not described in my.conf for the value 'slow'"),
        (["--num-node", 2], "unknown option --num-node; did you mean --num-nodes?"),
        (["--max-job-run", 2], "did you mean --max-jobs-run?"),
    ],
)
def test_options_that_nobody_described(configured, options, message):
    done = configured("--config", "my.conf", *options, "a.log", "true")
    assert done.returncode == 255
    assert done.stderr.startswith(f"{configured.program.name}: ") and message in done.stderr
    assert configured.calls(configured.submit) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no line 'command ...'"),
        ("command\n", ":1: what is the command?: command"),
        ("command a\n\ncommand b\n", ":3: there is a command already"),
        ("command a\noptoin gpu=0\n", ":2: a line begins with command, option or default, not with 'optoin'"),
        ("command a\noption gpu 0\n", ":2: write option NAME=VALUE TEXT"),
        ("command a\ndefault gpu\n", ":2: write default NAME=VALUE"),
        ("command a\ndefault gpu=0 1\n", ":2: what is '1'?"),
        ("command a\noption gpu=0\ndefault gpu=0\n", ":3: the default of gpu comes after its option lines"),
        ("command a\noption gpu=* 'x\n", ":2: quotes are not closed"),
        ("command a\ndefault gpu=1\n", "option --gpu is not described"),
    ],
)
def test_bad_configurations(cluster, text, message):
    (cluster.directory / "my.conf").write_text(text)
    done = cluster("--config", "my.conf", "a.log", "true")
    assert done.returncode == 255
    assert "my.conf" in done.stderr and message in done.stderr and done.stderr.count("\n") == 1


def test_a_configuration_in_the_working_directory_comes_first(cluster):
    conf = cluster.directory / "conf"
    conf.mkdir()
    name = "slurm.conf" if cluster.submit == "sbatch" else "queue.conf"
    (conf / name).write_text(f"command {cluster.submit} --mine\n")
    assert asked_for(cluster, "a.log", "true") == ["--mine"]
    assert "cannot read 'none.conf'" in cluster("--config", "none.conf", "a.log", "true").stderr


# As they come with Kaldi's recipes.
KALDI_SLURM = """command sbatch --export=PATH
option time=* --time $0
option mem=* --mem-per-cpu $0
option mem=0
option num_threads=* --cpus-per-task $0 --ntasks-per-node=1
option num_threads=1 --cpus-per-task 1 --ntasks-per-node=1
default gpu=0
option gpu=0 -p shared
option gpu=* -p gpu --gres=gpu:$0
option max_jobs_run=*
"""
KALDI_QUEUE = """command qsub -v PATH -cwd -S /bin/bash -j y -l arch=*64*
option mem=* -l mem_free=$0,ram_free=$0
option mem=0
option num_threads=* -pe smp $0
option num_threads=1
option max_jobs_run=* -tc $0
default gpu=0
option gpu=0
option gpu=* -l gpu=$0 -q g.q
"""
NEEDS = {
    "train_cmd": ["--mem", "8G", "--time", "2-00:00:00", "--notice", 600, "--num-threads", 4, "--gpu", 1],
    "dump_cmd": ["--mem", "2G", "--num-threads", 1, "--time", "12:00:00", "--retries", 2],
}
ADD = "option --{} is not described in my.conf; add a line such as: option {}"
OF_SLURM = {"notice": "notice=* --signal=B:USR1@$0"}
OF_GRID_ENGINE = {"notice": "notice=* -notify -l s_rt=$0", "time": "time=* -l h_rt=$0"}


@pytest.mark.parametrize(
    ("program", "text", "needs", "lines"),
    [
        ("slurm_pl", KALDI_SLURM, "train_cmd", OF_SLURM),
        ("slurm_pl", KALDI_SLURM, "dump_cmd", {}),
        ("queue_pl", KALDI_QUEUE, "train_cmd", OF_GRID_ENGINE),
        ("queue_pl", KALDI_QUEUE, "dump_cmd", {"time": OF_GRID_ENGINE["time"]}),
    ],
)
def test_lines_that_kaldi_s_files_lack_are_named_and_enough(request, program, text, needs, lines):
    """What cmd.sh asks for and Kaldi does not: the message has the lines, and with them it works."""
    dispatcher = request.getfixturevalue(program)
    config = dispatcher.directory / "my.conf"
    config.write_text(text)
    words = ["--config", "my.conf", *NEEDS[needs], "a.log", "true"]
    if lines:
        done = dispatcher(*words)
        said = [line.removeprefix(f"{dispatcher.program.name}: ") for line in done.stderr.splitlines()]
        assert (done.returncode, said) == (255, [ADD.format(name, line) for name, line in lines.items()])
        assert dispatcher.calls(dispatcher.submit) == []
        config.write_text(text + "".join(f"option {line}\n" for line in lines.values()))
    assert dispatcher(*words).returncode == 0


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        (
            "train_cmd",
            "--partition=gpu --gres=gpu:1 --mem=8G --signal=B:USR1@600 --cpus-per-task=4 --time=2-00:00:00",
        ),
        ("dump_cmd", "--partition=cpu --mem=2G --cpus-per-task=1 --time=12:00:00"),
    ],
)
def test_the_example_of_the_documentation(slurm_pl, needs, words):
    """Account and partitions: GPU jobs in the one, all others, also those that do not ask, in the other."""
    page = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    example = page.partition("\n## conf/slurm.conf\n")[2].partition("\n```\n")[2].partition("```\n")[0]
    conf = slurm_pl.directory / "conf"
    conf.mkdir()
    (conf / "slurm.conf").write_text(example)
    asked = asked_for(slurm_pl, *NEEDS[needs], "a.log", "true")
    assert asked == ["--export=ALL", "--account=speech", *words.split()]


@pytest.mark.parametrize("options", [["--mem", "2G"], ["--num-threads", 3], ["--gpu", 0], ["--gpu", 1]])
def test_the_line_that_is_told_is_the_built_in_one(cluster, options):
    (cluster.directory / "my.conf").write_text(f"command {cluster.submit}\n")
    done = cluster("--config", "my.conf", *options, "a.log", "true")
    name = options[0].removeprefix("--").replace("-", "_")
    line = done.stderr.partition("add a line such as: ")[2].strip()
    assert line.startswith(f"option {name}=")
    conf = "slurm.conf" if cluster.submit == "sbatch" else "queue.conf"
    assert line in (ROOT / "conf" / conf).read_text().splitlines()
