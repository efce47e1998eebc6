"""slurm.sh and sge.sh themselves: a scheduler that starts, survives, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from clusters import CANNOT_RUN, HERE, Cluster, GridEngine, Slurm, is_running, marked, wait_for

pytestmark = pytest.mark.cluster
KINDS = pytest.mark.parametrize("kind", [Slurm, GridEngine])
SCRIPTS = pytest.mark.parametrize("script", ["slurm.sh", "sge.sh"])


@pytest.fixture
def runs_here(request, kind) -> None:
    """Skips where the shared cluster of that kind cannot run."""
    request.getfixturevalue("slurm" if kind is Slurm else "sge")


def run(script: str, *words: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [HERE / script, *map(str, words)], capture_output=True, text=True, timeout=120, **options
    )


def marked_daemons(cluster: Cluster) -> list[int]:
    """Running daemons of the cluster, by name."""
    names = {daemon.partition("-")[0] for daemon in cluster.daemons}
    return [
        pid for pid in marked(cluster.directory) if Path(f"/proc/{pid}/comm").read_text().strip() in names
    ]


def submit_sleeper(cluster: Cluster, directory: Path) -> int:
    """A job that runs; the process id it wrote."""
    note = directory / "pid"
    note.unlink(missing_ok=True)
    script = directory / "job.sh"
    script.write_text(f"#!/bin/bash\necho $$ > {note}.new; mv {note}.new {note}; exec sleep 600\n")
    if isinstance(cluster, Slurm):
        cluster.call("sbatch", "--output=/dev/null", script)
    else:
        cluster.call("qsub", "-S", "/bin/bash", "-j", "y", "-o", "/dev/null", script)
    wait_for(note.exists)
    return int(note.read_text())


@KINDS
def test_restarts_and_leaves_nothing(kind, runs_here, tmp_path):
    cluster = kind()
    before = {daemon: cluster.pid(daemon) for daemon in cluster.daemons}
    cluster.start()
    assert {daemon: cluster.pid(daemon) for daemon in cluster.daemons} == before
    job = submit_sleeper(cluster, tmp_path)
    cluster.kill()
    assert is_running(job)
    # Three starts at once make one cluster.
    starts = [
        subprocess.Popen(
            [HERE / cluster.script, "start", cluster.directory], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    answers = [start.communicate(timeout=120)[0] for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0]
    assert [dict(line.split("=", 1) for line in text.splitlines()) for text in answers] == [
        cluster.environment
    ] * 3
    assert len(marked_daemons(cluster)) == len(cluster.daemons)
    assert all(is_running(cluster.pid(daemon)) for daemon in cluster.daemons)
    assert not set(before.values()) & {cluster.pid(daemon) for daemon in cluster.daemons}
    # A job whose daemons are all gone is found by what is in its environment.
    second = submit_sleeper(cluster, tmp_path)
    cluster.kill()
    assert is_running(second)
    daemons = [cluster.pid(daemon) for daemon in cluster.daemons]
    cluster.stop()
    wait_for(lambda: not any(map(is_running, [job, second, *daemons])))
    assert marked(cluster.directory) == []
    assert not cluster.directory.exists()
    assert run(cluster.script, "stop", cluster.directory).returncode == 0


def test_ends_with_its_owner(slurm):
    code = "import clusters, time; c = clusters.Slurm(); print(c.directory, flush=True); time.sleep(600)"
    owner = subprocess.Popen([sys.executable, "-c", code], cwd=HERE, stdout=subprocess.PIPE, text=True)
    directory = Path(owner.stdout.readline().strip())
    assert (directory / "slurm.conf").exists()
    owner.kill()
    owner.wait()
    wait_for(lambda: not directory.exists())
    assert marked(directory) == []


def program(folder: Path, name: str, text: str) -> None:
    """A program that stands before the machine's own."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("script", "fakes", "reason"),
    [
        ("slurm.sh", {"id": "echo 1000"}, "needs root"),
        ("sge.sh", {"id": "echo 1000"}, "needs root"),
        ("sge.sh", {"getent": "exit 2"}, "the name of this machine, lonely, has no address (see /etc/hosts)"),
        (
            "sge.sh",
            {"getent": "echo 10.1.2.3 STREAM lonely"},
            "the name of this machine, lonely, stands for 10.1.2.3, which is no loopback address",
        ),
    ],
)
def test_says_why_it_cannot_run(tmp_path, script, fakes, reason):
    for name, text in {"id": "echo 0", "hostname": "echo lonely", **fakes}.items():
        program(tmp_path / "bin", name, text)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = run(script, "start", tmp_path / "new", env={**os.environ, "PATH": path})
    assert (done.returncode, done.stderr) == (CANNOT_RUN, f"{script}: {reason}\n")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say start DIR or stop DIR"),
        (["start"], "say start DIR or stop DIR"),
        (["begin", "/tmp/x"], "unknown action 'begin'"),
        (["start", "relative"], "give an absolute path"),
        (["start", "/tmp/a b"], "give an absolute path"),
        (["--purge", "yes", "stop", "/tmp/x"], "--purge must be true or false"),
        (["--prge", "true", "stop", "/tmp/x"], "did you mean --purge?"),
    ],
)
@SCRIPTS
def test_wrong_calls(script, words, message):
    done = run(script, *words)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{script}: ") and message in done.stderr


def test_stop_spares_processes_of_others(slurm, tmp_path):
    # A stale number in a pid file that now belongs to somebody else's process of the same name.
    directory = tmp_path / "stale"
    directory.mkdir()
    (directory / "slurm.conf").write_text("ClusterName=svmixer_nobody\n")
    (directory / "slurmctld.pid").write_text(f"{slurm.pid('slurmctld')}\n")
    bystander = subprocess.Popen(["sleep", "60"])
    (directory / "munged.pid").write_text(f"{bystander.pid}\n")
    try:
        assert run("slurm.sh", "stop", directory).returncode == 0
        assert bystander.poll() is None
        assert is_running(slurm.pid("slurmctld"))
    finally:
        bystander.send_signal(signal.SIGKILL)
        bystander.wait()
