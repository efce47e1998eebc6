import pytest
from cluster_helpers import Cluster
from run_pl_helpers import RUN_PL, Dispatcher


@pytest.fixture
def run_pl(tmp_path) -> Dispatcher:
    """tools/run.pl, called in a directory of the test's own."""
    return Dispatcher(tmp_path)


@pytest.fixture
def slurm_pl(tmp_path) -> Cluster:
    """tools/slurm.pl with stand-ins for Slurm's commands."""
    (tmp_path / "work").mkdir()
    return Cluster(tmp_path / "work", "slurm.pl")


@pytest.fixture
def queue_pl(tmp_path) -> Cluster:
    """tools/queue.pl with stand-ins for Grid Engine's commands."""
    (tmp_path / "work").mkdir()
    return Cluster(tmp_path / "work", "queue.pl")


@pytest.fixture(params=["slurm.pl", "queue.pl"])
def cluster(request, tmp_path) -> Cluster:
    """Either of the two."""
    (tmp_path / "work").mkdir()
    return Cluster(tmp_path / "work", request.param)


@pytest.fixture(params=["run.pl", "slurm.pl", "queue.pl"])
def dispatcher(request, tmp_path) -> Dispatcher:
    """Each of the three."""
    (tmp_path / "work").mkdir()
    if request.param == "run.pl":
        return Dispatcher(tmp_path / "work", RUN_PL)
    return Cluster(tmp_path / "work", request.param)
