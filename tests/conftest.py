"""For all tests."""

import itertools
import signal

import pytest

# Under nohup or in the background of a script the tests would start with these ignored, and so would every
# process they start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def enrolment_store(tmp_path_factory, monkeypatch):
    """No test sees, or adds to, who is enrolled on this machine."""
    path = tmp_path_factory.getbasetemp() / "enrolled" / "speakers.db"
    monkeypatch.setenv("SVMIXER_STORE", str(path))
    yield path
    path.unlink(missing_ok=True)


# Folders whose tests share what takes long to make: schedulers, a run of the toy recipe, an export.
SHARING = ("cluster", "recipe", "export")
# Files of which each takes minutes: the last of them would leave the other processes idle.
LONG = (
    "test_resume",
    "test_tables",
    "test_long_lists",
    "test_espnet_task",
    "test_mini_an4",
    "test_own_data_page",
    "test_speechocean762",
)
# Marks of tests that `tests/run.sh --fast true` leaves out.
LEFT_OUT = {"slow", "recipe", "cluster"}


# Fixtures that take so long that a test with one of them is slow.
SLOW_FIXTURES = {"exported", "finished", "slurm", "sge"}
# A test that takes longer (s), with what it alone has to set up, is marked slow.
SLOW = 2


@pytest.fixture(autouse=True)
def levels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sounds made by formula, which most tests take for speech, are none to a detector that is installed."""
    monkeypatch.setattr("svmixer.inference.speech_detection.PACKAGES", ())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is slow by its fixtures, then orders for several processes (``tests/run.sh --jobs``): what
    stays together, and the longest first.

    A group of tests runs in one process. It is the file, or the folder if its tests share a fixture.
    """
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        if SLOW_FIXTURES.intersection(item.fixturenames):
            item.add_marker("slow")
        groups.setdefault(_group_of(item), []).append(item)

    def rank(name: str) -> tuple[bool, ...]:
        return (*(name != folder for folder in SHARING), name not in LONG, not _is_slow(groups[name]))

    ordered = sorted(groups, key=rank)
    items[:] = [item for name in ordered for item in groups[name]]
    for name in ordered:
        for item in groups[name]:
            item.add_marker(pytest.mark.xdist_group(name))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuses a pytest that hides the groups from pytest-xdist: what tests share would be set up twice."""
    grouped = getattr(session.config.option, "loadgroup", False)
    if grouped and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError("this pytest and this pytest-xdist do not keep groups of tests together")


def _group_of(item: pytest.Item) -> str:
    folder = item.path.parent.name
    if folder == "recipe" and "finished" not in item.fixturenames:
        return item.path.stem
    return folder if folder in SHARING else item.path.stem


def _is_slow(items: list[pytest.Item]) -> bool:
    return any(item.get_closest_marker("slow") for item in items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names the tests that ``tests/run.sh --fast true`` would be quicker without."""
    seconds: dict[str, float] = {}
    for report in itertools.chain.from_iterable(terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport) and not LEFT_OUT.intersection(report.keywords):
            seconds[report.nodeid] = seconds.get(report.nodeid, 0.0) + report.duration
    slow = sorted(((took, name) for name, took in seconds.items() if took > SLOW), reverse=True)
    if slow:
        terminalreporter.section(f"took more than {SLOW} s and are not marked slow")
        for took, name in slow:
            terminalreporter.line(f"{took:7.1f} s  {name}")
