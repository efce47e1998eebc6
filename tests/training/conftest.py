import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """Folder with toy train and valid dumps, a teacher and config.yaml."""
    from toy import write_config, write_dump, write_teacher

    folder = tmp_path_factory.mktemp("toy")
    write_dump(folder / "train", speakers=4, utterances=6)
    write_dump(folder / "valid", speakers=3, utterances=3, seed=1)
    write_teacher(folder / "teacher")
    write_config(folder / "config.yaml", folder)
    return folder
