import pytest
import torch

from svmixer.stages.steps_done import main, steps_done
from svmixer.training.checkpoint import rotate


def tree(total: int) -> dict:
    return {"module": {"w": torch.ones(2)}, "counters": {"epoch": 2, "step": 1, "total": total}}


def test_steps_of_the_newest_readable_checkpoint(tmp_path, capsys):
    assert steps_done(tmp_path) == 0
    path = tmp_path / "last.ckpt"
    rotate(path, tree(7))
    assert steps_done(tmp_path) == 7
    rotate(path, tree(9))
    main([str(tmp_path)])
    assert capsys.readouterr().out == "9\n"
    path.write_bytes(path.read_bytes()[:20])
    assert steps_done(tmp_path) == 7
    assert "last.ckpt: no readable checkpoint" in capsys.readouterr().err
    path.write_bytes(b"\xff" * 30)
    assert steps_done(tmp_path) == 7


def test_one_argument_is_wanted():
    with pytest.raises(SystemExit) as error:
        main([])
    assert error.value.code == 1
