"""Tables of experiments: what is run, in which order, and the page."""

import json
from pathlib import Path

import pytest

from svmixer.bin import tables as tables_cli
from svmixer.config import ConfigError, load
from svmixer.report.paper_tables import cell, read_tables, runs, write_tables

ROOT = Path(__file__).parents[2]
TEXT = """
about: What this is.
tables:
  - key: one
    title: First
    rows:
      - {name: A, tag: a, seeds: [0, 1], paper: {test: 1.5, other: 2.0}}
      - {name: B, tag: b, train_args: "--x 1"}
  - key: two
    title: Second
    rows:
      - {name: again A, tag: a, seeds: [0, 1]}
      - {name: C, tag: c, teacher: T, distill_args: "--y [1,2]"}
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "tables.yaml").write_text(TEXT)
    return tmp_path / "tables.yaml"


def finish(folder, eer, md5="0a", name="test"):
    """What the score stage leaves, as far as the page reads it."""
    (folder / "score" / name).mkdir(parents=True)
    metrics = {
        "set": name, "trials": 10, "targets": 5, "trials_md5": md5, "protocol": "whole", "num_crops": 10,
        "normalisation": "none", "eer": eer, "eer_ci95": [eer - 1, eer + 2], "eer_threshold": 0.1,
        "min_dcf": {"0.05": 0.1, "0.01": 0.2}, "model": "m", "commit": "c", "lowpass_hz": 0.0,
        "bootstrap": {"replicates": 10, "speakers": 3, "seed": 0}, "units": {"eer": "percent"},
        "data_dir": "dump/test",
    }  # fmt: skip
    (folder / "score" / name / "metrics.json").write_text(json.dumps(metrics))


def test_every_run_once_and_first_seeds_first(file):
    listed = list(runs(read_tables(file), (0,)))
    assert [run.tag for run in listed] == ["a_seed0", "b_seed0", "c_seed0", "a_seed1"]
    assert listed[2].row.distill_args == "--y [1,2]" and listed[3].seed == 1
    assert [run.tag for run in runs(read_tables(file, ("two",)), (5,))] == ["a_seed0", "a_seed1", "c_seed5"]


def test_cells_by_hand():
    assert cell([], None) == "-"
    assert cell([], 1.5) == "-; paper 1.50"
    assert cell([2.0], 1.52) == "2.00; paper 1.52, +0.48"
    assert cell([2.0, 1.0, 1.5], None) == "1.50 (1.00 to 2.00, n = 3)"


def test_page(file, tmp_path):
    exp = tmp_path / "exp"
    for tag, eer in (("a_seed0", 2.0), ("a_seed1", 3.0), ("c_seed0", 4.0)):
        finish(exp / tag, eer)
    missing = write_tables(read_tables(file), (0,), exp, tmp_path / "page.md", "./tables.sh")
    assert missing == 1
    page = (tmp_path / "page.md").read_text()
    assert "| A | 2.50 (2.00 to 3.00, n = 2); paper 1.50, +1.00 | -; paper 2.00 |" in page
    assert "| B | - | - |" in page
    assert "| again A | 2.50 (2.00 to 3.00, n = 2) |\n| C | 4.00 |" in page
    assert "Not finished: 1 of 4 runs (b_seed0)." in page
    assert "What this is." in page and "./tables.sh" in page
    assert "test [1.00, 4.00]." in page
    assert "- test: whole, list `0a`" in page


def test_runs_on_other_lists_are_not_put_side_by_side(file, tmp_path):
    finish(tmp_path / "exp/a_seed0", 2.0)
    finish(tmp_path / "exp/b_seed0", 2.0, md5="0b")
    with pytest.raises(ConfigError, match="test: trials_md5 is 0b in one run and 0a in another"):
        write_tables(read_tables(file), (0,), tmp_path / "exp", tmp_path / "page.md", "x")
    assert not (tmp_path / "page.md").exists()


def test_mistakes(file, tmp_path, capsys):
    with pytest.raises(ConfigError, match="no table 'three'; known: one, two"):
        read_tables(file, ("three",))
    file.write_text(TEXT.replace("{name: again A, tag: a, seeds: [0, 1]}", "{name: again A, tag: b}"))
    with pytest.raises(ConfigError, match="tag b stands for two different systems"):
        read_tables(file)
    file.write_text(TEXT.replace("train_args", "train_arg"))
    with pytest.raises(SystemExit):
        tables_cli.main(["--tables", str(file)])
    assert "did you mean 'train_args'" in capsys.readouterr().err


def test_listing_for_the_shell(file, capsys):
    tables_cli.main(["--tables", str(file), "--only", "[two]", "--seeds", "[3]"])
    lines = [line.split("\x1f") for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["a_seed0", "0", "", "", ""], ["a_seed1", "1", "", "", ""], ["c_seed3", "3", "T", "--y [1,2]", ""],
    ]  # fmt: skip


def test_the_papers_figures():
    """Tables I to IV and Figure 5 are all there; spot checks of the figures against the paper's tables."""
    config = read_tables(ROOT / "egs/voxceleb/sv1/conf/tables.yaml")
    tables = {one.key: {row.name: row for row in one.rows} for one in config.tables}
    assert {key: len(rows) for key, rows in tables.items()} == {
        "table1": 5, "table2": 5, "table3": 6, "table4": 8, "figure5": 8,
    }  # fmt: skip
    svmixer = {"vox1_o": 1.52, "vox1_e": 1.64, "vox1_h": 2.98, "voxsrc23_val": 6.61}
    assert tables["table1"]["SV-Mixer"].paper == svmixer | {"vcmix": 4.96, "voices_eval": 12.24}
    assert tables["table2"]["all"].paper == svmixer
    assert tables["table3"]["Transformer, linear"].paper["voxsrc23_val"] == 8.13
    assert tables["table4"]["SV-Mixer, WavLM-Base+"].paper["vox1_h"] == 2.98
    assert tables["figure5"]["L = 17"].paper == {"vox1_o": 0.78}
    assert len({run.tag for run in runs(config, (0,))}) == 5 + 3 + 4 + 6 + 8


def test_the_small_tables_take_about_two_hours():
    config = read_tables(ROOT / "egs/debian_voices/sv1/conf/tables.yaml")
    tags = [run.tag for run in runs(config, (0,))]
    assert len(tags) == 3 * 3 + 2 + 3
    assert sum(tag.startswith("tables_svmixer") for tag in tags) == 3


@pytest.mark.parametrize("recipe", ["voxceleb", "debian_voices"])
def test_options_of_the_rows_are_known(recipe):
    """Every option in a row is a key of the training configuration."""
    from svmixer.models.backends import BACKENDS
    from svmixer.models.students import ENCODER_LAYERS
    from svmixer.train.tasks import TrainConfig

    folder = ROOT / f"egs/{recipe}/sv1"
    for one in read_tables(folder / "conf/tables.yaml").tables:
        for row in one.rows:
            for stage, text in (("distill", row.distill_args), ("train", row.train_args)):
                words = text.split()
                given = {k.removeprefix("--"): v for k, v in zip(words[::2], words[1::2], strict=True)}
                base = folder / f"conf/train_{'speaker' if stage == 'train' else 'distill'}.yaml"
                if not base.is_file():
                    base = ROOT / "conf" / base.name
                config = load(TrainConfig, base, given)
                assert config.model.student.encoder in ENCODER_LAYERS.builders
                assert config.model.backend.name in BACKENDS.builders
