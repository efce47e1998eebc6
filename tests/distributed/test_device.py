"""Who starts a training's processes, and what Fabric makes of a job's variables."""

import os
import sys

import pytest

from svmixer.distributed.config import DeviceConfig
from svmixer.distributed.device import make_fabric, start_processes


def test_processes_of_a_node_and_in_all():
    assert DeviceConfig(ngpu=4, processes=3, num_nodes=2).world == 8
    assert DeviceConfig(processes=3, num_nodes=2).world == 6
    assert DeviceConfig().world == 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"processes": 0}, "processes: must be at least 1, found 0"),
        ({"ngpu": -1}, "ngpu: must be at least 0"),
        ({"num_nodes": 2, "node": 3}, r"node: there are 2 \(num_nodes\), found 3"),
    ],
)
def test_bad_numbers_are_refused(values, reason):
    with pytest.raises(ValueError, match=reason):
        DeviceConfig(**values)


@pytest.fixture
def started(monkeypatch):
    """The commands that took this process's place."""
    commands = []
    monkeypatch.setattr(os, "execv", lambda program, words: commands.append((program, words)))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "svmixer", "train", "--config", "a b.yaml"])
    for name in ("LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    return commands


def test_one_process_needs_no_launcher(started, tmp_path):
    start_processes(DeviceConfig(), tmp_path)
    assert started == []


def test_several_processes_are_left_to_the_launcher(started, tmp_path):
    start_processes(DeviceConfig(processes=2, num_nodes=3, node=2, attempt="-x", patience=9.0), tmp_path)
    [(program, words)] = started
    assert program == words[0] == sys.executable and words[1:4] == ["-m", "svmixer", "launch"]
    place = ["--nodes", "3", "--node", "2", "--processes", "2", "--folder", str(tmp_path)]
    command = [sys.executable, "-m", "svmixer", "train", "--config", "a b.yaml"]
    assert words[4:] == [*place, "--attempt=-x", "--patience", "9.0", "--", *command]


def test_a_started_process_goes_on_if_the_number_is_right(started, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    start_processes(DeviceConfig(processes=2), tmp_path)
    assert started == []
    with pytest.raises(ValueError, match=r"one of 2 processes \(WORLD_SIZE\), but device.\* asks for 4"):
        start_processes(DeviceConfig(processes=4), tmp_path)


def test_a_job_of_slurm_that_holds_one_process_is_one_process(monkeypatch):
    """Without srun; Fabric by itself would take the job's tasks for its own and stop."""
    job = {"SLURM_NTASKS": "4", "SLURM_JOB_ID": "5", "SLURM_JOB_NAME": "train", "SLURM_NODEID": "0"}
    for name, value in {**job, "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}.items():
        monkeypatch.setenv(name, value)
    fabric = make_fabric(DeviceConfig(threads=1), "32-true")
    assert (fabric.global_rank, fabric.world_size) == (0, 1)
