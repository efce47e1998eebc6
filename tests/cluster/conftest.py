"""Schedulers that the tests of this directory share: started once, ended with the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clusters import CannotRun, Cluster, GridEngine, Slurm


def _started(kind: type[Cluster], *options: str) -> Iterator[Cluster]:
    try:
        cluster = kind(*options)
    except CannotRun as reason:
        pytest.skip(str(reason))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """A Slurm of two nodes with 4 processors and 4000 MB each."""
    yield from _started(Slurm)


@pytest.fixture(scope="session")
def sge() -> Iterator[Cluster]:
    """A Grid Engine of one host with 4 slots."""
    yield from _started(GridEngine)


@pytest.fixture(params=["slurm", "sge"])
def cluster(request) -> Cluster:
    """Each of the two."""
    return request.getfixturevalue(request.param)


def pytest_configure(config) -> None:
    config.addinivalue_line("markers", "cluster: starts a real scheduler on this machine (as root)")
