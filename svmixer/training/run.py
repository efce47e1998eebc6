"""From a configuration to a finished training: the frame that every training script shares, and which options
may change when a training is continued."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO, Any

from svmixer import config as configuration
from svmixer.devices import count_gpus
from svmixer.distributed.device import make_fabric, start_processes
from svmixer.distributed.signals import INTERRUPTED, STOP_SIGNALS, note_interruption
from svmixer.errors import SvmixerError
from svmixer.fileio import write_json
from svmixer.log import get_logger
from svmixer.training.checkpoint import IncompatibleCheckpointError
from svmixer.training.loop import Loop
from svmixer.training.task import Task
from svmixer.yaml_files import ConfigError, read_yaml

logger = get_logger(__name__)

# Sections and keys that do not change what is computed.
FREE = {
    "device",
    "output_dir",
    "loop.allow_changes",
    "loop.log_every",
    "loop.save_every",
    "loop.workers",
}
# Counts per process: what matters is the whole.
BATCH = "loop.batch_size"


def run_task(config: Any, task: Callable[[Any], Task]) -> None:
    """Train ``task(config)`` in ``config.output_dir``, continuing what lies there.

    The configuration is saved beside the results; a directory made with other options is refused, naming
    them. One process at a time owns the directory. If ``config.device`` asks for several processes, this one
    becomes their launcher, see :mod:`svmixer.distributed.launch`.

    Raises:
        SvmixerError: the training cannot be begun or continued; the message says why.
    """
    folder = Path(config.output_dir)
    if config.device.ngpu:
        count_gpus(config.device.ngpu, "--ngpu 0 (--device.ngpu 0) trains on the CPU")
    start_processes(config.device, folder)
    _leave_on_signals(folder)
    fabric = make_fabric(config.device, config.loop.precision)
    lock = _lock(folder) if fabric.global_rank == 0 else None
    changed = check_options(config, folder) if fabric.global_rank == 0 else []
    fabric.barrier()
    prepared = task(config)
    started = time.perf_counter()
    sizes = {
        "trained_parameters": sum(p.numel() for p in prepared.module.parameters() if p.requires_grad),
        "items": len(prepared.dataset()),
    }
    if fabric.global_rank == 0:
        logger.info(
            "%s: %s",
            folder,
            ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in sizes.items()),
        )
    try:
        loop = Loop(fabric, config.loop, prepared, folder)
        # Not before it is known that the training can go on with it.
        if fabric.global_rank == 0:
            configuration.save(config, folder / "config.yaml")
        loop.run()
    except IncompatibleCheckpointError as error:
        raise SvmixerError(_incompatible(error, changed)) from None
    except (SvmixerError, OSError) as error:
        raise SvmixerError(last_line(error)) from None
    if fabric.global_rank == 0:
        write_json(folder / "summary.json", sizes)
        logger.info("finished %s after %.0f s", folder, time.perf_counter() - started)
    if lock is not None:
        lock.close()


def last_line(error: Exception) -> str:
    """What an error says. A data worker hands over its whole traceback: what happened stands in the last
    line, behind the name of the error's class.
    """
    text = str(error).rstrip()
    return re.sub(r"^[\w.]+: ", "", text.rpartition("\n")[2]) if text.startswith("Caught ") else text


def _incompatible(error: IncompatibleCheckpointError, changed: list[str]) -> str:
    """Why a training cannot be continued, and what to do."""
    cause = f"options that changed: {', '.join(changed)}"
    if not changed:
        cause = "no option has changed, but the data, the teacher or the code"
    return (
        f"{error}; {cause}. This training cannot be continued: use another --tag (--output_dir), or --force "
        "true to start over"
    )


def _leave_on_signals(folder: Path) -> None:
    """Until the loop can save, a stop signal ends the process with the status that says: run it again."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        reason = "stopped by a signal before the first step; run again to continue"
        note_interruption(folder, reason)
        logger.info("%s", reason)
        sys.exit(INTERRUPTED)

    for number in STOP_SIGNALS:
        signal.signal(number, leave)


def _lock(folder: Path, patience: float = 20.0) -> IO[str]:
    """Hold ``folder/.lock`` for this process's life; the kernel lets go of it, however the process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = open(folder / ".lock", "a+", encoding="utf-8")  # noqa: SIM115 held until the process ends
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            # A run that was just killed may need a moment to go.
            if time.monotonic() > deadline:
                handle.seek(0)
                raise SvmixerError(
                    f"{folder} is being trained by another process ({handle.read().strip()})"
                ) from None
            time.sleep(0.2)
    handle.seek(0)
    handle.truncate()
    handle.write(f"pid {os.getpid()} on {os.uname().nodename}\n")
    handle.flush()
    return handle


def check_options(config: Any, folder: Path) -> list[str]:
    """Refuse a configuration that would change the result of a training begun in ``folder``.

    A key that the saved configuration has not got yet, because older code wrote it, has its default there.
    The number of processes may change if ``batch_size`` does so that a batch of all processes stays as large.

    Returns:
        The options that changed and were allowed to.

    Raises:
        SvmixerError: options changed that matter, and ``loop.allow_changes`` is false; all are named.
    """
    saved = folder / "config.yaml"
    if not (saved.exists() and (folder / "last.ckpt").exists()):
        return []
    changed = changes(saved, config)
    if changed and not config.loop.allow_changes:
        raise SvmixerError(
            f"{folder} was trained with other options: {', '.join(changed)}. Use another --tag, --force "
            "true to do it again, or --allow_changes true (--loop.allow_changes) to continue with the new"
        )
    if changed:
        logger.warning("%s: continued with other options: %s", folder, ", ".join(changed))
    return changed


def changes(saved: Path, config: Any) -> list[str]:
    """``key (old → new)`` of every option that matters and is not as in the file ``saved``."""
    tree = configuration.from_former(type(config), read_yaml(saved))
    gone = _remove_unknown(tree, configuration.to_dict(config), "")
    try:
        # What the file has not got takes its default.
        old = _effective(configuration.from_dict(type(config), tree, str(saved)))
    except ConfigError as error:
        # A value that this code reads in another way.
        return [*gone, str(error)]
    new = _effective(config)
    matter = [key for key in sorted(old.keys() | new.keys()) if not {key, key.split(".")[0]} & FREE]
    changed = [key for key in matter if old.get(key) != new.get(key)]
    return gone + [f"{key} ({old.get(key)} → {new.get(key)})" for key in changed]


def _remove_unknown(old: dict[str, Any], new: dict[str, Any], prefix: str) -> list[str]:
    """Take the keys that ``new`` has not got out of ``old``, and name them."""
    gone = []
    for key in list(old):
        if key not in new:
            gone.append(f"{prefix}{key} ({old.pop(key)} → no such option any more)")
        elif isinstance(old[key], dict) and isinstance(new[key], dict):
            gone += _remove_unknown(old[key], new[key], f"{prefix}{key}.")
    return gone


def _effective(config: Any) -> dict[str, Any]:
    """Dotted key → value, with the batch size of all processes in place of that of one."""
    flat = _flat(configuration.to_dict(config), "")
    flat[f"{BATCH} of all processes"] = flat.pop(BATCH) * config.device.world
    return flat


def _flat(tree: dict[str, Any], prefix: str) -> dict[str, Any]:
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
