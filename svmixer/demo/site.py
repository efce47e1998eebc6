"""The files of the page, the model and ONNX Runtime among them: served as they are, or written out."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from svmixer.errors import SvmixerError
from svmixer.fileio import read_json
from svmixer.inference.calibration import CALIBRATION, COHORT, read_calibration
from svmixer.inference.embedding_model import ModelError, find_directory
from svmixer.inference.onnx_model import DESCRIPTION, FILES, Precision, read_description

WEB = Path(__file__).resolve().parent / "web"
# What says of a directory that it is such a page.
MARK = "site.json"
CARD = "README.md"

# Path in the page → its bytes, or the file that has them.
Site = dict[str, bytes | Path]


class SiteError(SvmixerError):
    """A page that cannot be written where it should be."""


def site_files(path_or_name: str, precision: Precision, runtime: dict[str, Path]) -> Site:
    """Everything that the page loads.

    Args:
        path_or_name: an export directory, or the name of a model that comes with the package.
        precision: of the graph; ``auto`` is the one that the export recommends.
        runtime: see :func:`svmixer.demo.onnxruntime_web.runtime_files`.

    Raises:
        ModelError: no such model, or a file of it is missing or damaged.
    """
    directory = find_directory(path_or_name, "export", (DESCRIPTION,))
    precisions = read_description(directory).precisions
    chosen = precisions[0] if precision == "auto" else precision
    if chosen not in precisions:
        raise ModelError(f"{directory}: there is no {chosen} model, only {', '.join(precisions)}")
    graph = directory / FILES[chosen]
    if not graph.is_file():
        raise ModelError(f"{graph}: missing, though {DESCRIPTION} names it")
    data = graph.read_bytes()
    site: Site = {path.relative_to(WEB).as_posix(): path for path in sorted(WEB.rglob("*")) if path.is_file()}
    site |= {f"onnxruntime/{name}": path for name, path in runtime.items()}
    # The page has this one graph.
    site[f"model/{DESCRIPTION}"] = _json({**read_json(directory / DESCRIPTION), "precisions": [chosen]})
    site[f"model/{graph.name}"] = data
    if (directory / CARD).is_file():
        site[f"model/{CARD}"] = directory / CARD
    calibrated = read_calibration(directory) is not None
    if calibrated:
        site |= {f"model/{name}": directory / name for name in (CALIBRATION, COHORT)}
    about = {
        "name": _model_name(directory), "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data),
        "calibrated": calibrated,
    }  # fmt: skip
    return site | {MARK: _json(about)}


def _model_name(directory: Path) -> str:
    """What people call it: stage 7 writes ``exp/NAME/export``."""
    folder = directory.resolve()
    return folder.parent.name if folder.name == "export" else folder.name


def content(source: bytes | Path) -> bytes:
    """The bytes of one entry of a site."""
    return source.read_bytes() if isinstance(source, Path) else source


def write_site(site: Site, directory: str | Path) -> int:
    """Write a page as static files for any web server, in place of an earlier one; returns its bytes.

    Raises:
        SiteError: something else is in ``directory``.
    """
    target = Path(directory)
    if target.exists() and not (target.is_dir() and (_is_site(target) or not any(target.iterdir()))):
        raise SiteError(f"{target}: holds something else than such a page; name another directory")
    # Whole or not at all; the earlier one goes when the new one is in its place.
    target = target.absolute()
    copy, earlier = (target.with_name(f".{target.name}.{kind}") for kind in ("tmp", "earlier"))
    for leftover in (copy, earlier):
        shutil.rmtree(leftover, ignore_errors=True)
    total = 0
    for name, source in site.items():
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        total += path.write_bytes(content(source))
    if target.exists():
        target.rename(earlier)
    copy.rename(target)
    shutil.rmtree(earlier, ignore_errors=True)
    return total


def _is_site(directory: Path) -> bool:
    return (directory / MARK).is_file() and (directory / "index.html").is_file()


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
