"""Stages 3 and 4: a training that a signal stopped is submitted again, as long as it makes progress."""

import os
import subprocess
from pathlib import Path

import pytest

# Most of the time is the start of processes.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

# Stands for a training: run n ends as line n of $1/ends says, with as many steps as line n of $1/steps.
TRAINING = """
folder=$1; shift
echo "$@" >>"$folder/calls"
n=$(wc -l <"$folder/calls")
status=$(sed -n "${n}p" "$folder/ends")
steps=$(sed -n "${n}p" "$folder/steps")
[ "$status" -ne 75 ] || printf '%s\n' "stopped by a signal: run $n" "$steps" >"$folder/.interrupted"
exit "$status"
"""

STAGE = """
set -euo pipefail
. "$1/stages/lib.sh"
. "$1/stages/training.sh"
max_resubmits=$2 num_nodes=$3 ngpu=0 allow_changes=false
run_training "$4" train bash "$4/training.sh" "$4"
echo finished
"""


def run(
    folder: Path, ends: list[int], steps: list[int], most: str = "5", nodes: int = 1
) -> subprocess.CompletedProcess:
    folder.mkdir(exist_ok=True)
    (folder / "training.sh").write_text(TRAINING)
    for name, numbers in (("ends", ends), ("steps", steps)):
        (folder / name).write_text("".join(f"{number}\n" for number in numbers))
    return subprocess.run(
        ["bash", "-c", STAGE, "stage", str(ROOT), most, str(nodes), str(folder)],
        env={**os.environ, "cmd_backend": "local"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def test_submitted_again_until_done(tmp_path):
    result = run(tmp_path / "a b", [75, 75, 0], [10, 20, 30])
    assert result.returncode == 0 and result.stdout.endswith("finished\n"), result.stderr
    assert len(calls(tmp_path / "a b")) == 3
    assert "stopped by a signal: run 1 (10 steps done)" in result.stdout
    assert "submitting it again (2 of at most 5)" in result.stdout
    # Every submission's log is kept.
    logs = sorted(path.name for path in (tmp_path / "a b").glob("*.log"))
    assert logs == ["train.before1.log", "train.before2.log", "train.log"]


def test_no_progress_between_two_submissions_is_the_end(tmp_path):
    result = run(tmp_path, [75, 75, 75, 0], [10, 20, 20])
    assert result.returncode == 1 and len(calls(tmp_path)) == 3
    assert "no step was made between two submissions" in result.stderr


def test_a_training_that_came_to_no_step_gets_another_chance(tmp_path):
    result = run(tmp_path / "once", [75, 75, 0], [0, 10])
    assert result.returncode == 0 and len(calls(tmp_path / "once")) == 3
    result = run(tmp_path / "twice", [75, 75, 0], [0, 0])
    assert result.returncode == 1 and len(calls(tmp_path / "twice")) == 2


def test_only_so_many_times(tmp_path):
    result = run(tmp_path, [75, 75, 75, 0], [10, 20, 30], most="2")
    assert result.returncode == 1 and len(calls(tmp_path)) == 3
    assert "is not finished, and --max_resubmits is 2: run again to continue" in result.stderr


def test_on_this_machine_it_is_for_the_user_to_run_it_again(tmp_path):
    result = run(tmp_path, [75, 0], [10], most="")
    assert result.returncode == 1 and len(calls(tmp_path)) == 1
    assert "--max_resubmits is 0: run again to continue" in result.stderr


def test_a_failure_is_not_submitted_again(tmp_path):
    (tmp_path / ".interrupted").write_text("left by an earlier run\n")
    result = run(tmp_path, [1, 0], [10])
    assert result.returncode == 1 and len(calls(tmp_path)) == 1


def test_each_node_is_a_task_with_its_number_and_the_same_attempt(tmp_path):
    result = run(tmp_path, [0, 0], [], nodes=2)
    assert result.returncode == 0, result.stderr
    found = sorted(call.split() for call in calls(tmp_path))
    common = ["--device.ngpu", "0", "--loop.allow_changes", "false", "--device.num_nodes", "2"]
    assert [words[:-2] for words in found] == [[*common, "--device.node", node] for node in ("1", "2")]
    assert [words[-2] for words in found] == ["--device.attempt"] * 2
    assert found[0][-1] == found[1][-1]
    assert {path.name for path in tmp_path.glob("*.log")} == {"train.1.log", "train.2.log"}
