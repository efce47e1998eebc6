import pytest
from run_pl_helpers import Dispatcher


@pytest.fixture
def run_pl(tmp_path) -> Dispatcher:
    """tools/run.pl, called in a directory of the test's own."""
    return Dispatcher(tmp_path)
