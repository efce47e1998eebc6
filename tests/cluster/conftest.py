"""Schedulers that the tests of this directory share: started once, ended with the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial

import pytest
from clusters import CannotRun, Cluster, GridEngine, Slurm
from detection import Detection, table
from dispatching import Call


def _started(kind: type[Cluster], *options: str) -> Iterator[Cluster]:
    try:
        cluster = kind(*options)
    except CannotRun as reason:
        pytest.skip(str(reason))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """A Slurm of two nodes with 4 processors and 16000 MB each, whatever this machine has."""
    yield from _started(Slurm)


@pytest.fixture(scope="session")
def sge() -> Iterator[Cluster]:
    """A Grid Engine of one host with 4 slots."""
    yield from _started(GridEngine)


@pytest.fixture(params=["slurm", "sge"])
def cluster(request) -> Cluster:
    """Each of the two."""
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def calls_end_with_their_test() -> Iterator[None]:
    """No job of a failed test disturbs the next one."""
    Call.made.clear()
    yield
    for call in Call.made:
        call.end()


@pytest.fixture
def detected(record_property) -> Callable[..., None]:
    """``detected(case, cluster, happened, noticed, ...)`` puts a time into the table and checks it.

    No more than 10 s may lie between the two moments, or 5 s between ``reported``, when the scheduler itself
    said it, and ``noticed``. Times and notes are properties of the test's report: so they reach the process
    that prints the table, whichever runs the test.
    """

    def add(
        case: str,
        cluster: Cluster,
        happened: float,
        noticed: float,
        reported: float | None = None,
        since: str = "it happened",
    ) -> None:
        after = None if reported is None else noticed - reported
        found = Detection(case, cluster.name, since, noticed - happened, after)
        record_property("detection", asdict(found))
        assert happened - 0.2 <= noticed, f"{case}: noticed {happened - noticed:.1f} s before {since}"
        assert noticed - happened <= 10 or (after is not None and after <= 5), found

    return add


@pytest.fixture
def noted(record_property) -> Callable[[str], None]:
    """``noted(line)`` prints a line below the table."""
    return partial(record_property, "note")


def pytest_terminal_summary(terminalreporter) -> None:
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    said = [item for report in reports if report.when == "call" for item in report.user_properties]
    found = [Detection(**value) for name, value in said if name == "detection"]
    notes = [value for name, value in said if name == "note"]
    if found:
        terminalreporter.section("seconds until it was noticed (after the scheduler's own word)")
        terminalreporter.write_line(table(found))
    for line in notes:
        terminalreporter.write_line(line)
