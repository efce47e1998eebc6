"""The launchers of a training's nodes: they find each other, start the processes, and end together."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from svmixer.distributed.rendezvous import FILE, Host, Rendezvous, RendezvousError, join

# Most of the time is the start of processes.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

# A process that says who it is, then does what the test asks for: ACTIONS[rank] is an exit status, "wait", or
# "save" (wait for a signal, then end with 75).
RANK = """
import json, os, pathlib, signal, sys, time
folder, actions = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
names = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANK", "LOCAL_RANK", "NODE_RANK")
rank = int(os.environ["RANK"])
action = actions[rank]
if action == "save":
    signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))
text = json.dumps({**{name: os.environ[name] for name in names}, "pid": os.getpid()})
part = folder / f".rank{rank}"
part.write_text(text)
part.rename(folder / f"rank{rank}.json")
while not all((folder / f"rank{n}.json").exists() for n in range(len(actions))):
    time.sleep(0.01)
if isinstance(action, int):
    sys.exit(action)
time.sleep(120)
"""


class Nodes:
    """Launchers of several nodes on this machine."""

    def __init__(self, folder: Path, processes: int, actions: list) -> None:
        self.folder, self.processes, self.actions = folder, processes, actions
        self.nodes = len(actions) // processes

    def start(self, node: int, *more: str, env: dict[str, str] | None = None) -> subprocess.Popen:
        command = [
            sys.executable, "-m", "svmixer", "launch", "--nodes", str(self.nodes),
            "--node", str(node), "--processes", str(self.processes), "--folder", str(self.folder),
            "--patience", "30", *more, "--",
            sys.executable, "-c", RANK, str(self.folder), json.dumps(self.actions),
        ]  # fmt: skip
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "PE_"))}
        environment = {**inherited, "PYTHONPATH": str(ROOT), **(env or {})}
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def all(self, *more: str) -> list[subprocess.Popen]:
        return [self.start(node, *more) for node in range(1, self.nodes + 1)]

    def await_ranks(self) -> list[dict]:
        paths = [self.folder / f"rank{rank}.json" for rank in range(len(self.actions))]
        wait_until(lambda: all(path.exists() for path in paths))
        return [json.loads(path.read_text()) for path in paths]


def wait_until(condition, seconds: float = 60.0) -> None:
    """Poll until the condition holds; the time is a limit for a machine under load, not a measure."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(0.02)


def ends(processes: list[subprocess.Popen], seconds: float = 60.0) -> list[tuple[int, str]]:
    results = []
    for process in processes:
        errors = process.communicate(timeout=seconds)[1]
        results.append((process.returncode, errors))
    return results


def is_running(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text[text.rindex(")") + 2] != "Z"


def test_two_nodes_of_two_processes(tmp_path):
    nodes = Nodes(tmp_path, 2, [0, 0, 0, 0])
    results = ends(nodes.all("--attempt", "7"))
    assert [status for status, _ in results] == [0, 0], results
    ranks = nodes.await_ranks()
    assert [rank["RANK"] for rank in ranks] == ["0", "1", "2", "3"]
    assert [rank["LOCAL_RANK"] for rank in ranks] == ["0", "1", "0", "1"]
    assert [rank["NODE_RANK"] for rank in ranks] == ["0", "0", "1", "1"]
    assert {rank["WORLD_SIZE"] for rank in ranks} == {"4"}
    assert {rank["LOCAL_WORLD_SIZE"] for rank in ranks} == {"2"}
    assert len({rank["MASTER_PORT"] for rank in ranks}) == 1
    assert not (tmp_path / FILE).exists() and not (tmp_path / ".interrupted").exists()


@pytest.mark.slow
def test_a_failed_process_ends_all_others_within_seconds(tmp_path):
    nodes = Nodes(tmp_path, 2, ["wait", "wait", "wait", 3])
    processes = nodes.all()
    nodes.await_ranks()
    started = time.monotonic()
    results = ends(processes)
    assert time.monotonic() - started < 10
    assert [status for status, _ in results] == [1, 3]
    # Both nodes' logs name it.
    assert all("rank 3 on node 2" in errors and "ended with status 3" in errors for _, errors in results)
    assert not any(is_running(rank["pid"]) for rank in nodes.await_ranks())


def test_a_killed_process_is_named_with_its_signal(tmp_path):
    nodes = Nodes(tmp_path, 2, ["wait", "wait"])
    processes = nodes.all()
    os.kill(nodes.await_ranks()[1]["pid"], signal.SIGKILL)
    [(status, errors)] = ends(processes)
    assert status == 128 + 9 and "rank 1 on node 1" in errors and "was killed by SIGKILL" in errors


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_node_that_vanishes_ends_the_others_and_its_own_processes(tmp_path, victim):
    nodes = Nodes(tmp_path, 1, ["wait"] * 3)
    processes = nodes.all()
    ranks = nodes.await_ranks()
    processes[victim].kill()
    results = ends(processes)
    assert results.pop(victim)[0] == -9
    assert [status for status, _ in results] == [1, 1]
    assert all(f"node {victim + 1} (rank {victim}) on" in errors for _, errors in results)
    wait_until(lambda: not any(is_running(rank["pid"]) for rank in ranks), 10)


@pytest.mark.parametrize("node", [1, 2])
def test_a_signal_for_one_node_is_the_end_of_all_with_status_75(tmp_path, node):
    nodes = Nodes(tmp_path, 1, ["save", "save"])
    processes = nodes.all()
    ranks = nodes.await_ranks()
    processes[node - 1].send_signal(signal.SIGUSR1)
    # The processes of the other node agree among themselves (in a training, by a collective operation).
    os.kill(ranks[2 - node]["pid"], signal.SIGUSR1)
    results = ends(processes)
    assert [status for status, _ in results] == [75, 75], results
    assert (tmp_path / ".interrupted").read_text() == "stopped by a signal; run again to continue\n0\n"


def test_a_signal_before_a_process_can_save_means_run_again(tmp_path):
    nodes = Nodes(tmp_path, 1, ["wait"])
    [process] = nodes.all()
    nodes.await_ranks()
    process.send_signal(signal.SIGTERM)
    assert ends([process])[0][0] == 75


def test_a_signal_while_waiting_for_the_others(tmp_path):
    nodes = Nodes(tmp_path, 1, [0, 0])
    process = nodes.start(1)
    wait_until((tmp_path / FILE).exists)
    process.send_signal(signal.SIGTERM)
    status, errors = ends([process])[0]
    assert status == 75 and "while waiting for the other nodes" in errors
    assert "waiting for the other nodes" in (tmp_path / ".interrupted").read_text()
    assert not (tmp_path / FILE).exists()


@pytest.mark.slow
def test_missing_nodes_are_named_with_their_ranks(tmp_path):
    nodes = Nodes(tmp_path, 2, [0] * 8)
    processes = [nodes.start(node, "--patience", "3") for node in (1, 3)]
    results = ends(processes)
    assert [status for status, _ in results] == [1, 1]
    for _, errors in results:
        assert "these did not come: node 2 (ranks 2-3), node 4 (ranks 6-7)" in errors


def test_without_the_first_node_the_others_say_what_they_looked_for(tmp_path):
    nodes = Nodes(tmp_path, 1, [0, 0])
    status, errors = ends([nodes.start(2, "--patience", "0.5")])[0]
    assert status == 1 and "node 2 (rank 1) waited 0 s for node 1 (rank 0)" in errors
    assert f"{tmp_path / FILE}: No such file or directory" in errors


def test_nodes_meet_by_slurms_variables(tmp_path):
    nodes = Nodes(tmp_path, 1, [0, 0])
    # A number of its own for each run, so that runs at the same time have ports of their own.
    job = {"SLURM_JOB_NODELIST": "127.0.0.1,127.0.0.1", "SLURM_JOB_ID": str(os.getpid())}
    processes = [nodes.start(0, env={**job, "SLURM_NODEID": str(node)}) for node in (0, 1)]
    results = ends(processes)
    assert [status for status, _ in results] == [0, 0], results
    assert nodes.await_ranks()[1]["MASTER_ADDR"] == "127.0.0.1"


def test_a_node_that_nothing_numbers(tmp_path):
    status, errors = ends([Nodes(tmp_path, 1, [0, 0]).start(0)])[0]
    assert status == 1 and "give device.node (1 to 2)" in errors
    status, errors = ends([Nodes(tmp_path, 1, [0, 0]).start(3)])[0]
    assert status == 1 and "this is node 3 of 2" in errors


def rendezvous(folder: Path, node: int, attempt: str = "a", nodes: int = 2) -> Rendezvous:
    return Rendezvous(node, nodes, 1, attempt, folder)


def nothing() -> None:
    """No reason to give up."""


def test_a_file_of_an_earlier_attempt_is_waited_out(tmp_path):
    (tmp_path / FILE).write_text('{"attempt": "old", "token": "t", "addresses": ["127.0.0.1"], "port": 1}')
    with pytest.raises(RendezvousError, match=r"is of an earlier attempt \(old, not a\)"):
        join(rendezvous(tmp_path, 1), 0.3, nothing)


def test_a_port_that_nobody_or_somebody_else_has_is_waited_out(tmp_path):
    place = {"attempt": "a", "token": "mine", "addresses": ["127.0.0.1"]}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / FILE).write_text(json.dumps({**place, "port": port}))
    with pytest.raises(RendezvousError, match=f"127.0.0.1 port {port}: Connection refused"):
        join(rendezvous(tmp_path, 1), 0.3, nothing)
    # A training of another attempt has the port now: its token is another one.
    other = tmp_path / "other"
    with Host(rendezvous(other, 0)) as host:
        port = json.loads((other / FILE).read_text())["port"]
        (tmp_path / FILE).write_text(json.dumps({**place, "port": port}))
        answer = _answer_of(host, {"node": 1, "token": "mine"})
        assert answer == {"refused": "another attempt's token"}


def _answer_of(host: Host, hello: dict) -> dict:
    with socket.create_connection(host.listener.getsockname(), timeout=10) as connection:
        connection.sendall(json.dumps(hello).encode() + b"\n")
        with pytest.raises(RendezvousError):
            host.gather(1.0, nothing)
        return json.loads(connection.recv(4096).split(b"\n")[0])


@pytest.mark.slow
def test_strangers_and_wrong_numbers_are_refused(tmp_path):
    with Host(rendezvous(tmp_path, 0)) as host:
        assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
        assert _answer_of(host, {"node": 1}) == {"refused": "another attempt's token"}
        assert _answer_of(host, {"node": 2, "token": host.token}) == {"refused": "there are 2 nodes"}
        assert _answer_of(host, {"node": "1", "token": host.token}) == {"refused": "there are 2 nodes"}
    assert not (tmp_path / FILE).exists()


def test_a_second_copy_of_a_node_is_refused(tmp_path):
    nodes = Nodes(tmp_path, 1, [0] * 3)
    first = nodes.start(1)
    copies = [nodes.start(2), nodes.start(2)]
    wait_until(lambda: any(copy.poll() is not None for copy in copies))
    last = nodes.start(3)
    results = ends(copies)
    assert sorted(status for status, _ in results) == [0, 1]
    assert "node 2 (rank 1) is here already" in "".join(errors for _, errors in results)
    assert [status for status, _ in ends([first, last])] == [0, 0]
