"""Tables of experiments: what is run, in which order, and the page."""

import json
from pathlib import Path

import pytest

from svmixer.cli.main import run_program
from svmixer.config import ConfigError, load
from svmixer.report.differences import group_figures
from svmixer.report.paper_tables import cell, read_tables, runs, write_tables
from svmixer.report.results import find_results

ROOT = Path(__file__).parents[2]
# Experiment → seed of its scores.
RUNS = {"a_seed0": 1, "a_seed1": 2, "c_seed0": 3}
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


def test_every_run_once_and_first_seeds_first(file):
    listed = list(runs(read_tables(file), (0,)))
    assert [run.tag for run in listed] == ["a_seed0", "b_seed0", "c_seed0", "a_seed1"]
    assert listed[2].row.distill_args == "--y [1,2]" and listed[3].seed == 1
    assert [run.tag for run in runs(read_tables(file, ("two",)), (5,))] == ["a_seed0", "a_seed1", "c_seed5"]


def test_cells_by_hand():
    assert cell([], None, None) == "-"
    assert cell([], None, 1.5) == "-; paper 1.50"
    assert cell([2.0], (1.0, 3.5), 1.52) == "2.00 [1.00, 3.50]; paper 1.52, +0.48"
    assert cell([2.0, 1.0, 1.5], None, None) == "1.50 (1.00 to 2.00, n = 3)"


def eer_of(folder):
    return json.loads((folder / "score/test/metrics.json").read_text())


def test_page(file, make_run, tmp_path):
    first, second, c = (make_run(f"exp/{tag}", seed=seed) for tag, seed in RUNS.items())
    missing = write_tables(read_tables(file), (0,), "exp", tmp_path / "page.md", "./tables.sh", "Notes.")
    assert missing == 1
    page = (tmp_path / "page.md").read_text()
    low, high = sorted(eer_of(folder)["eer"] for folder in (first, second))
    mean = (low + high) / 2
    group = group_figures([find_results(folder)[0] for folder in (first, second)], 1000, 0)
    expected = (
        f"{mean:.2f} [{group.interval[0]:.2f}, {group.interval[1]:.2f}] ({low:.2f} to {high:.2f}, n = 2)"
    )
    assert f"| A | {expected}; paper 1.50, {mean - 1.5:+.2f} | -; paper 2.00 |" in page
    assert "| B | - | - |" in page
    # One run: the interval that its score stage found.
    alone = eer_of(c)
    interval = "[{:.2f}, {:.2f}]".format(*alone["eer_ci95"])
    assert f"| again A | {expected} |\n| C | {alone['eer']:.2f} {interval} |" in page
    assert "Not finished: 1 of 4 runs (b_seed0)." in page
    assert "What this is." in page and "./tables.sh" in page and "\nNotes.\n" in page
    assert f"- test: crops, 10 by 10 of 3 s, list `{alone['trials_md5']}`" in page


def test_differences_to_a_reference(file, make_run, tmp_path):
    """Paired: two systems with the same scores differ by exactly nothing."""
    for tag, seed in {"a_seed0": 1, "a_seed1": 1, "b_seed0": 1, "c_seed0": 3}.items():
        make_run(f"exp/{tag}", seed=seed)
    text = TEXT.replace("title: First", "title: First\n    reference: A")
    file.write_text(text.replace("title: Second", "title: Second\n    reference: again A"))
    assert write_tables(read_tables(file), (0,), "exp", tmp_path / "page.md", "x") == 0
    page = (tmp_path / "page.md").read_text()
    assert "| minus A | test, points of EER [95 %] |" in page and "| B | 0.00 [0.00, 0.00] |" in page
    away = eer_of(Path("exp/c_seed0"))["eer"] - eer_of(Path("exp/a_seed0"))["eer"]
    assert f"| C | {away:.2f} [" in page
    file.write_text(TEXT.replace("title: First", "title: First\n    reference: D"))
    with pytest.raises(ConfigError, match="reference: no row 'D'; there are: A, B"):
        read_tables(file)


def test_runs_on_other_lists_are_not_put_side_by_side(file, make_run, tmp_path):
    make_run("exp/a_seed0")
    changed = make_run("exp/b_seed0") / "score/test/metrics.json"
    metrics = json.loads(changed.read_text())
    known = metrics["trials_md5"]
    changed.write_text(json.dumps(metrics | {"trials_md5": "0b"}))
    with pytest.raises(ConfigError, match=f"test: trials_md5 is 0b in one run and {known} in another"):
        write_tables(read_tables(file), (0,), "exp", tmp_path / "page.md", "x")
    assert not (tmp_path / "page.md").exists()


def test_notes_beside_the_description(file, make_run, tmp_path):
    file.write_text("notes: notes.md\n" + TEXT)
    (tmp_path / "notes.md").write_text("Read soberly.\n")
    run_program("tables", ["--tables", str(file), "--action", "page", "--output", str(tmp_path / "page.md")])
    assert "\nRead soberly.\n\n## How to read this" in (tmp_path / "page.md").read_text()


def test_mistakes(file, tmp_path, capsys):
    with pytest.raises(ConfigError, match="no table 'three'; known: one, two"):
        read_tables(file, ("three",))
    file.write_text(TEXT.replace("{name: again A, tag: a, seeds: [0, 1]}", "{name: again A, tag: b}"))
    with pytest.raises(ConfigError, match="tag b stands for two different systems"):
        read_tables(file)
    file.write_text(TEXT.replace("train_args", "train_arg"))
    with pytest.raises(SystemExit):
        run_program("tables", ["--tables", str(file)])
    assert "did you mean 'train_args'" in capsys.readouterr().err


def test_listing_for_the_shell(file, capsys):
    run_program("tables", ["--tables", str(file), "--only", "[two]", "--seeds", "[3]"])
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
    from svmixer.training.config import TrainConfig

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
