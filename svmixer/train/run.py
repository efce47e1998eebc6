"""From a configuration to a finished training: the frame that every training script shares."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from svmixer import config as configuration
from svmixer.audio.errors import AudioError
from svmixer.fileio import write_json
from svmixer.log import fail, get_logger
from svmixer.train.loop import Loop, Task, make_fabric

log = get_logger(__name__)

# Sections and keys that may change between a run and its continuation without changing what is computed.
FREE = {"device", "output_dir", "loop.log_every", "loop.save_every", "loop.workers"}


def run_task(config: Any, task: Callable[[Any], Task]) -> None:
    """Train ``task(config)`` in ``config.output_dir``, continuing what lies there.

    The configuration is saved beside the results; a directory made with other options is refused, naming
    them. One process at a time owns the directory.
    """
    fabric = make_fabric(config.device, config.loop.precision)
    folder = Path(config.output_dir)
    lock = _lock(folder) if fabric.global_rank == 0 else None
    try:
        if fabric.global_rank == 0:
            _check_options(config, folder)
        fabric.barrier()
        prepared = task(config)
    except (ValueError, OSError) as error:
        raise fail(str(error)) from None
    started = time.perf_counter()
    sizes = {
        "trained_parameters": sum(p.numel() for p in prepared.module.parameters() if p.requires_grad),
        "items": len(prepared.dataset()),
    }
    if fabric.global_rank == 0:
        log.info(
            "%s: %s",
            folder,
            ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in sizes.items()),
        )
    try:
        Loop(fabric, config.loop, prepared, folder).run()
    except (AudioError, OSError) as error:
        # A data worker hands over its whole traceback; what happened stands in the last line.
        last = str(error).rstrip().rpartition("\n")[2]
        raise fail(last.removeprefix(f"{AudioError.__module__}.AudioError: ")) from None
    if fabric.global_rank == 0:
        write_json(folder / "summary.json", sizes)
        log.info("finished %s after %.0f s", folder, time.perf_counter() - started)
    if lock is not None:
        lock.close()


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
                raise fail(
                    f"{folder} is being trained by another process ({handle.read().strip()})"
                ) from None
            time.sleep(0.2)
    handle.seek(0)
    handle.truncate()
    handle.write(f"pid {os.getpid()} on {os.uname().nodename}\n")
    handle.flush()
    return handle


def _check_options(config: Any, folder: Path) -> None:
    """Refuse to continue a run with options that would change its result; else save the configuration."""
    saved = folder / "config.yaml"
    if saved.exists() and (folder / "last.ckpt").exists():
        old = _flat(configuration.read_yaml(saved))
        new = _flat(configuration.to_dict(config))
        changed = [
            f"{key} ({old.get(key)} → {new.get(key)})"
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key) and key not in FREE and key.split(".")[0] not in FREE
        ]
        if changed:
            raise fail(
                f"{folder} was trained with other options: {', '.join(changed)}. "
                "Use another --tag, or --force true to do it again"
            )
    configuration.save(config, saved)


def _flat(tree: dict, prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
