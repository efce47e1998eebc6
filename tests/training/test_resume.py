"""A killed training, continued, ends in the same bits as an undisturbed one."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from svmixer.lists import write_table
from svmixer.scoring.vectors import write_vectors
from svmixer.training.checkpoint import load_tree

ROOT = Path(__file__).resolve().parents[2]


def command(toy: Path, output: Path, module: str, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "svmixer",
        module,
        "--config",
        str(toy / "config.yaml"),
        "--output_dir",
        str(output),
        *more,
    ]


def start(arguments: list[str]) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        arguments,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def finish(arguments: list[str]) -> str:
    process = start(arguments)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return errors


def stop_at(arguments: list[str], epoch: int, step: int, number: signal.Signals, group: bool = True) -> int:
    """Send a signal once the training has passed a step; the exit status."""
    process = start(arguments)
    for line in process.stderr:
        found = re.search(r"epoch (\d+)/\d+ step (\d+)/", line)
        if found and (int(found[1]), int(found[2])) >= (epoch, step):
            break
    else:
        raise AssertionError("the training ended before it could be stopped")
    if group:
        os.killpg(process.pid, number)
    else:
        os.kill(process.pid, number)
    process.communicate(timeout=60)
    return process.returncode


def assert_same(one: Path, two: Path) -> None:
    assert (one / "model/model.safetensors").read_bytes() == (two / "model/model.safetensors").read_bytes()
    records = [
        [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        for folder in (one, two)
    ]
    assert records[0] == records[1]
    assert len(records[0]) == 3
    assert not list(two.glob(".*.tmp"))


@pytest.fixture(scope="module")
def undisturbed(toy, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(command(toy, output, "train", "--device.threads", "1"))
    return output


@pytest.mark.slow
def test_sigkill_in_mid_epoch_and_sigterm_later(toy, undisturbed, tmp_path):
    output = tmp_path / "run"
    arguments = command(toy, output, "train", "--device.threads", "1")
    assert stop_at(arguments, 1, 5, signal.SIGKILL) == -signal.SIGKILL
    # A half-written file of the dead run.
    (output / ".last.ckpt.xyz.tmp").write_bytes(b"half")
    assert stop_at(arguments, 2, 3, signal.SIGTERM) == 75
    reason, steps = (output / ".interrupted").read_text().splitlines()
    assert reason.startswith("stopped by a signal: saved at epoch 2, step ")
    assert int(steps) == load_tree(output / "last.ckpt")["counters"]["total"]
    assert "resumed at epoch" in finish(arguments)
    assert_same(undisturbed, output)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_what_schedulers_send_before_the_end_after_all_epochs_but_one(toy, undisturbed, tmp_path, number):
    """With workers, whom the signal reaches too; two of the epochs that are averaged lie before it."""
    output = tmp_path / "run"
    arguments = command(toy, output, "train", "--device.threads", "1")
    assert stop_at(arguments, 3, 1, number) == 75
    assert len(list((output / "best").iterdir())) == 2
    finish(arguments)
    assert_same(undisturbed, output)


@pytest.mark.slow
def test_targets_of_another_system_change_nothing_about_resuming(toy, tmp_path):
    names = [line.split()[0] for line in (toy / "train/utt2spk").read_text().splitlines()]
    rng = np.random.default_rng(0)
    rows = write_vectors(tmp_path / "vectors.ark", [(name, rng.standard_normal(5)) for name in names])
    write_table(tmp_path / "vectors.scp", rows)
    more = ("--device.threads", "1", "--embeddings.scp", str(tmp_path / "vectors.scp"))
    one, two = tmp_path / "undisturbed", tmp_path / "killed"
    finish(command(toy, one, "train", *more))
    assert stop_at(command(toy, two, "train", *more), 2, 2, signal.SIGKILL) == -signal.SIGKILL
    finish(command(toy, two, "train", *more))
    assert_same(one, two)
    assert "train_embeddings" in (one / "log.jsonl").read_text()


@pytest.mark.slow
def test_a_margin_that_was_rising_goes_on_rising(toy, tmp_path):
    more = ("--device.threads", "1", "--speaker.margin_epochs", "[0.5, 2]")
    one, two = tmp_path / "undisturbed", tmp_path / "killed"
    finish(command(toy, one, "train", *more))
    arguments = command(toy, two, "train", *more)
    assert stop_at(arguments, 1, 9, signal.SIGKILL) == -signal.SIGKILL
    finish(arguments)
    assert_same(one, two)
    margins = [json.loads(line)["train_margin"] for line in (one / "log.jsonl").read_text().splitlines()]
    # 4 speakers x 6 utterances x 2 speeds in batches of 4: 12 steps an epoch, the rise takes 18 of them.
    rise = [0.0] * 6 + [0.2 * (1 - 0.001 ** (step / 18)) for step in range(18)]
    assert margins == pytest.approx([sum(rise[:12]) / 12, sum(rise[12:]) / 12, 0.2], abs=1e-6)


@pytest.mark.slow
def test_channels_are_the_same_after_a_kill(toy, tmp_path):
    """Codecs, lost packets and rooms of every crop come from its own generator."""
    more = ("--device.threads", "1", "--augment.channel.prob", "1", "--augment.channel.loss_prob", "1")
    one, two = tmp_path / "undisturbed", tmp_path / "killed"
    finish(command(toy, one, "train", *more))
    arguments = command(toy, two, "train", *more)
    assert stop_at(arguments, 1, 5, signal.SIGKILL) == -signal.SIGKILL
    assert stop_at(arguments, 2, 3, signal.SIGTERM) == 75
    assert "resumed at epoch" in finish(arguments)
    assert_same(one, two)


@pytest.mark.slow
def test_a_signal_before_the_loop_can_save_leaves_with_the_same_status(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; "
        "from svmixer.training.run import _leave_on_signals; "
    )
    code += "_leave_on_signals(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGUSR1); print('went on')"
    process = start([sys.executable, "-c", code, str(tmp_path)])
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 75 and "before the first step" in errors
    assert (tmp_path / ".interrupted").read_text().startswith("stopped by a signal before the first step")


@pytest.mark.slow
def test_truncated_checkpoint_falls_back_and_ends_the_same(toy, undisturbed, tmp_path):
    output = tmp_path / "run"
    arguments = command(toy, output, "train", "--device.threads", "1")
    stop_at(arguments, 2, 5, signal.SIGKILL)
    checkpoint = output / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert "unreadable checkpoint" in finish(arguments)
    assert_same(undisturbed, output)


@pytest.mark.slow
def test_two_processes_with_accumulation(toy, tmp_path):
    more = ("--device.processes", "2", "--device.threads", "1", "--loop.batch_size", "2")
    more = (*more, "--loop.accumulate", "2")
    one, two = tmp_path / "undisturbed", tmp_path / "killed"
    finish(command(toy, one, "train", *more))
    arguments = command(toy, two, "train", *more)
    stop_at(arguments, 1, 4, signal.SIGKILL)
    time.sleep(0.5)
    # To the launcher alone, which passes it on.
    assert stop_at(arguments, 2, 3, signal.SIGUSR1, group=False) == 75
    finish(arguments)
    assert_same(one, two)


@pytest.mark.slow
def test_two_nodes_of_which_one_is_killed(toy, tmp_path):
    """Two nodes on this machine: the other ends at once; continued, it is what one node of two makes."""
    more = ("--device.threads", "1", "--loop.batch_size", "2")
    one, two = tmp_path / "undisturbed", tmp_path / "killed"
    finish(command(toy, one, "train", *more, "--device.processes", "2"))
    nodes = [
        command(toy, two, "train", *more, "--device.num_nodes", "2", "--device.node", str(node))
        for node in (1, 2)
    ]
    victim = start([*nodes[1], "--device.attempt", "1"])
    assert stop_at([*nodes[0], "--device.attempt", "1"], 1, 5, signal.SIGKILL) == -signal.SIGKILL
    errors = victim.communicate(timeout=30)[1]
    assert victim.returncode == 1
    assert "node 1 (rank 0) on" in errors and "is gone" in errors
    time.sleep(0.5)
    first = start([*nodes[0], "--device.attempt", "2"])
    finish([*nodes[1], "--device.attempt", "2"])
    errors = first.communicate(timeout=60)[1]
    assert first.returncode == 0 and "node 1 of 2 found the others" in errors and "resumed at epoch" in errors
    assert_same(one, two)


@pytest.mark.slow
def test_another_number_of_processes_continues_if_the_whole_batch_stays(toy, tmp_path):
    """Without dropout and batch normalisation, which are each process's own, it goes on as it would have."""
    more = ("--device.threads", "1", "--model.student.dropout", "0", "--model.backend.name", "linear")
    one, two = tmp_path / "undisturbed", tmp_path / "continued"
    finish(command(toy, one, "train", *more))
    single = command(toy, two, "train", *more)
    assert stop_at(single, 1, 5, signal.SIGTERM) == 75
    process = start([*single, "--device.processes", "2"])
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 1
    assert "loop.batch_size of all processes (4 → 8)" in errors
    errors = finish([*single, "--device.processes", "2", "--loop.batch_size", "2"])
    assert "begun by 1 processes, continued by 2" in errors
    wanted, found = (
        [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        for folder in (one, two)
    )
    assert [record["step"] for record in found] == [record["step"] for record in wanted]
    losses = [[record["train_loss"] for record in records] for records in (wanted, found)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.mark.slow
def test_changed_options_continue_when_told_so(toy, tmp_path):
    output = tmp_path / "run"
    arguments = command(toy, output, "train", "--device.threads", "1")
    assert stop_at(arguments, 1, 3, signal.SIGTERM) == 75
    errors = finish([*arguments, "--loop.lr", "0.001", "--loop.allow_changes", "true"])
    assert "continued with other options: loop.lr (0.003 → 0.001)" in errors
    records = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    assert records[0]["lr"] == 0.001 and len(records) == 3
    # From now on these are the training's options.
    assert yaml.safe_load((output / "config.yaml").read_text())["loop"]["lr"] == 0.001


@pytest.mark.slow
def test_other_options_are_refused_and_free_ones_are_not(toy, undisturbed):
    process = start(command(toy, undisturbed, "train", "--device.threads", "1", "--loop.lr", "0.1"))
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "loop.lr (0.003 → 0.1)" in errors and "--force true" in errors
    finish(command(toy, undisturbed, "train", "--device.threads", "1", "--loop.log_every", "7"))


@pytest.mark.slow
def test_a_second_process_in_the_same_directory_is_refused(toy, tmp_path):
    import fcntl

    output = tmp_path / "run"
    output.mkdir()
    with open(output / ".lock", "w") as handle:
        handle.write("pid 1 on elsewhere\n")
        handle.flush()
        fcntl.flock(handle, fcntl.LOCK_EX)
        process = start(command(toy, output, "train"))
        errors = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "is being trained by another process (pid 1 on elsewhere)" in errors


@pytest.mark.slow
def test_bfloat16_and_accumulation_resume_too(toy, tmp_path):
    more = ("--device.threads", "1", "--loop.precision", "bf16-mixed", "--loop.accumulate", "2")
    one, two = tmp_path / "undisturbed", tmp_path / "killed"
    finish(command(toy, one, "train", *more))
    arguments = command(toy, two, "train", *more)
    stop_at(arguments, 2, 1, signal.SIGKILL)
    finish(arguments)
    assert_same(one, two)


PHASES = (
    "[{optimizer: adamw, steps: 5, lr: 0.003, start_lr: 0.0003, warmup_steps: 2}, "
    "{optimizer: sgd, steps: 7, lr: 0.05, final_lr: 0.001}]"
)


@pytest.mark.slow
def test_resume_across_a_change_of_optimiser(toy, tmp_path):
    """Twelve steps in epochs of four: killed before, right at and after the change at step 5."""
    config = tmp_path / "config.yaml"
    values = yaml.safe_load((toy / "config.yaml").read_text())
    for name in ("max_epochs", "lr", "schedule"):
        del values["loop"][name]
    config.write_text(yaml.safe_dump(values))
    more = (
        "--config",
        str(config),
        "--loop.phases",
        PHASES,
        "--loop.epoch_steps",
        "4",
        "--device.threads",
        "1",
    )
    more = (*more, "--loop.save_every", "1")
    one, two = tmp_path / "undisturbed", tmp_path / "killed"
    errors = finish(command(toy, one, "train", *more))
    assert "step 5: PhaseConfig(optimizer='sgd'" in errors
    arguments = command(toy, two, "train", *more)
    assert stop_at(arguments, 1, 3, signal.SIGKILL) == -signal.SIGKILL
    assert stop_at(arguments, 2, 1, signal.SIGTERM) == 75
    assert stop_at(arguments, 2, 2, signal.SIGKILL) == -signal.SIGKILL
    finish(arguments)
    assert_same(one, two)
    rates = [json.loads(line)["lr"] for line in (two / "log.jsonl").read_text().splitlines()]
    falling = [0.001 + 0.049 * 0.5 * (1 + math.cos(math.pi * k / 6)) for k in range(7)]
    assert rates == pytest.approx([0.003 * 0.5 * (1 + math.cos(math.pi / 2)), falling[2], falling[6]])
