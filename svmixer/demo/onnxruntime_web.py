"""The npm package onnxruntime-web, which runs the model in the page: one version, checked by its digests.

Its files are too large for the repository. ``tools/vendor_web.sh`` fetches the archive and unpacks what the
page needs of it; nothing is fetched when the page is used.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path

from svmixer.errors import SvmixerError
from svmixer.fileio import atomic_write

VERSION = "1.30.0"
ARCHIVE = f"onnxruntime-web-{VERSION}.tgz"
ARCHIVE_SHA512 = (
    "ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61"
)
# Where the files are unpacked; git ignores it.
VENDOR = Path(__file__).resolve().parent / "vendor"


@dataclass(frozen=True)
class Part:
    """A file of the package."""

    name: str  # in the package's folder dist
    page: str  # in the page: names that every web server has a type for
    sha256: str


PARTS = (
    Part("ort.wasm.min.mjs", "ort.js", "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b"),
    Part(
        "ort-wasm-simd-threaded.mjs",
        "ort-wasm.js",
        "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    ),
    Part(
        "ort-wasm-simd-threaded.wasm",
        "ort-wasm.wasm",
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    ),
)
HOW = (
    "in a checkout: tools/vendor_web.sh, and `. ./path.sh` or `pip install .` again; else: "
    f"npm pack onnxruntime-web@{VERSION}, then svmixer demo --onnxruntime_web {ARCHIVE}"
)


class RuntimeMissingError(SvmixerError):
    """onnxruntime-web is not there, or not as it was published; the message says how to get it."""


def runtime_files(directory: Path | None = None) -> dict[str, Path]:
    """Name in the page → file, of every part that the page needs.

    Args:
        directory: where they are; None: where :func:`unpack` puts them.

    Raises:
        RuntimeMissingError: a part is missing or damaged.
    """
    files = {}
    for part in PARTS:
        path = (directory or VENDOR) / part.name
        if not path.is_file():
            raise RuntimeMissingError(f"onnxruntime-web {VERSION} is not there ({path}); {HOW}")
        if hashlib.sha256(path.read_bytes()).hexdigest() != part.sha256:
            raise RuntimeMissingError(f"{path}: not the file of onnxruntime-web {VERSION}; {HOW}")
        files[part.page] = path
    return files


def unpack(archive: str | Path, directory: Path | None = None) -> None:
    """Unpack what the page needs of the package's archive, as ``npm pack`` downloads it.

    Args:
        archive: of the version that this module names.
        directory: where the files go; None: into this package.

    Raises:
        RuntimeMissingError: another archive, or a damaged one; nothing is written then.
        OSError: it cannot be read, or ``directory`` not written.
    """
    if hashlib.sha512(Path(archive).read_bytes()).hexdigest() != ARCHIVE_SHA512:
        raise RuntimeMissingError(
            f"{archive}: not the archive of onnxruntime-web {VERSION}, or damaged; "
            f"npm pack onnxruntime-web@{VERSION} fetches it"
        )
    with tarfile.open(archive) as package:
        for part in PARTS:
            data = package.extractfile(f"package/dist/{part.name}")
            assert data is not None, "the digest says that it is there"
            with atomic_write((directory or VENDOR) / part.name, "wb") as stream:
                stream.write(data.read())
