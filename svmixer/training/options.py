"""Which options of a training may change when it is continued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from svmixer import config as configuration
from svmixer.config import ConfigError
from svmixer.log import get_logger
from svmixer.yaml_files import read_yaml

log = get_logger(__name__)

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


def check_options(config: Any, folder: Path) -> list[str]:
    """Refuse a configuration that would change the result of a training begun in ``folder``.

    A key that the saved configuration has not got yet, because older code wrote it, has its default there.
    The number of processes may change if ``batch_size`` does so that a batch of all processes stays as large.

    Returns:
        The options that changed and were allowed to.

    Raises:
        ValueError: options changed that matter, and ``loop.allow_changes`` is false; all are named.
    """
    saved = folder / "config.yaml"
    if not (saved.exists() and (folder / "last.ckpt").exists()):
        return []
    changed = changes(saved, config)
    if changed and not config.loop.allow_changes:
        raise ValueError(
            f"{folder} was trained with other options: {', '.join(changed)}. Use another --tag, --force "
            "true to do it again, or --allow_changes true (--loop.allow_changes) to continue with the new"
        )
    if changed:
        log.warning("%s: continued with other options: %s", folder, ", ".join(changed))
    return changed


def changes(saved: Path, config: Any) -> list[str]:
    """``key (old → new)`` of every option that matters and is not as in the file ``saved``."""
    tree = read_yaml(saved)
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
