"""Which hosts a job has and which of them this is, by the scheduler's variables. Standard library only."""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from svmixer.errors import SvmixerError

# Below the ports that Linux hands out by itself (32768 and up).
FIRST_PORT = 20000
# Ports a job may try, one after another.
PORTS_PER_JOB = 8
_JOBS = 1500


class ClusterError(SvmixerError):
    """Scheduler variables that cannot be understood or do not fit what was asked for."""


@dataclass(frozen=True)
class Allocation:
    """The hosts of a job that has several."""

    # Host names, the first node's first.
    hosts: tuple[str, ...]
    # Number of this node among them, from 0.
    node: int
    # The job's number, as text.
    job: str


def allocation(environ: Mapping[str, str], nodes: int) -> Allocation:
    """This process's place in a job of ``nodes`` nodes that was started on each of them.

    Slurm: ``srun`` sets SLURM_NODEID, SLURM_JOB_NODELIST and SLURM_JOB_ID. Grid Engine: a parallel
    environment gives PE_HOSTFILE and JOB_ID; this node's place is that of its host name there.

    Raises:
        ClusterError: neither scheduler's variables are there, they are of another number of nodes, or this
            host is not in the file.
    """
    if "SLURM_NODEID" in environ and "SLURM_JOB_NODELIST" in environ:
        # A step may have fewer nodes than its job.
        text = environ.get("SLURM_STEP_NODELIST", environ["SLURM_JOB_NODELIST"])
        found = Allocation(
            tuple(expand_hosts(text)), int(environ["SLURM_NODEID"]), environ.get("SLURM_JOB_ID", "0")
        )
        source = f"Slurm's node list {text}"
    elif "PE_HOSTFILE" in environ:
        path = environ["PE_HOSTFILE"]
        hosts = read_host_file(path)
        found = Allocation(hosts, _own_place(hosts, path), environ.get("JOB_ID", "0"))
        source = path
    else:
        raise ClusterError(
            f"{nodes} nodes, but nothing says which one this is: give device.node (1 to {nodes}), or start "
            "it on each node with srun or in a parallel environment of Grid Engine"
        )
    if len(found.hosts) != nodes or not 0 <= found.node < nodes:
        raise ClusterError(f"{nodes} nodes were asked for, but {source} has {len(found.hosts)}")
    return found


def expand_hosts(text: str) -> list[str]:
    """Host names of a Slurm list: ``gpu-a[1-3,07],x-y-01`` → gpu-a1 gpu-a2 gpu-a3 gpu-a07 x-y-01.

    A hyphen is a range inside brackets only. Ranges keep the width of their first number (``[08-10]``); a
    name may have several brackets, of which the last varies fastest.

    Raises:
        ClusterError: brackets that do not match, an empty name, or a range that is none.
    """
    hosts: list[str] = []
    # Commas outside brackets separate names.
    for name in re.split(r",(?![^\[]*\])", text):
        parts = re.split(r"\[([^\[\]]*)\]", name)
        if not name or any(bracket in part for part in parts[::2] for bracket in "[]"):
            raise ClusterError(f"not a list of hosts: '{text}'")
        choices = [_expand_ranges(p, text) if i % 2 else [p] for i, p in enumerate(parts)]
        hosts += ["".join(words) for words in itertools.product(*choices)]
    return hosts


def _expand_ranges(inside: str, text: str) -> list[str]:
    numbers: list[str] = []
    for item in inside.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", item)
        if not found or int(found[2] or found[1]) < int(found[1]):
            raise ClusterError(f"not a list of hosts: '{text}' ('{item}' is no number or range)")
        first, last = found[1], found[2] or found[1]
        numbers += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return numbers


def read_host_file(path: str | Path) -> tuple[str, ...]:
    """Host names of Grid Engine's file, lines ``host slots queue processors``, each host once.

    Raises:
        ClusterError: the file cannot be read, or a line does not begin with a host and a number.
    """
    hosts: dict[str, None] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ClusterError(f"PE_HOSTFILE: {error}") from None
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < 2 or not fields[1].isdigit():
            raise ClusterError(f"{path}:{number}: expected 'host slots queue processors', found '{line}'")
        # A host may come once a queue.
        hosts[fields[0]] = None
    if not hosts:
        raise ClusterError(f"{path}: has no hosts")
    return tuple(hosts)


def _own_place(hosts: tuple[str, ...], path: str) -> int:
    names = {socket.gethostname(), socket.getfqdn()}
    short = {name.partition(".")[0] for name in names}
    exact = [place for place, host in enumerate(hosts) if host in names]
    alike = [place for place, host in enumerate(hosts) if host.partition(".")[0] in short]
    if exact or alike:
        return (exact or alike)[0]
    raise ClusterError(f"{path}: this host ({socket.gethostname()}) is not among {', '.join(hosts)}")


def job_ports(job: str) -> range:
    """The ports for a job's rendezvous: a function of its number, so that all its nodes know them.

    Jobs whose numbers are close have none in common.
    """
    number = int(re.sub(r"\D", "", job) or 0)
    first = FIRST_PORT + number % _JOBS * PORTS_PER_JOB
    return range(first, first + PORTS_PER_JOB)
