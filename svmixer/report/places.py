"""Texts and command lines without the places of the machine that they come from."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import svmixer

# An absolute path in quotes, or one word of it; not the rest of a relative path or of an address.
_PATH = re.compile(r"""(?<=')/[^']+(?=')|(?<=")/[^"]+(?=")|(?<![\w/.~…*)\]}-])/(?!/)[^\s'",;\])}]+""")


def without_places(text: str) -> str:
    """``text`` with the absolute paths in it relative to the working directory or the checkout, others as
    ``…/name``; a text that is such a path as a whole may have blanks in it. A relative path from elsewhere
    into the checkout (``../../home/me/svmixer/run.sh``) is written as from there.
    """
    if text.startswith("../") and (inside := _in_checkout(text)):
        return inside
    return _relative(text) if _is_path(text) else _PATH.sub(lambda match: _relative(match[0]), text)


def command_without_places(command: str) -> str:
    """The same for the words of a command line; one that no shell could read is text."""
    try:
        return shlex.join(map(without_places, shlex.split(command)))
    except ValueError:
        return without_places(command)


def command_lines(command: str, width: int = 118) -> list[str]:
    """:func:`command_without_places` as lines of at most ``width`` characters, broken before options."""
    command = command_without_places(command)
    try:
        words = [shlex.quote(word) for word in shlex.split(command)]
    except ValueError:
        return [command]
    lines = [""]
    for number, word in enumerate(words):
        following = words[number + 1 : number + 2] if word.startswith("--") else []
        # An option stays with its value.
        needed = len(" ".join([lines[-1], word, *(v for v in following if not v.startswith("--"))]))
        if number and word.startswith("--") and needed + 2 > width:
            lines[-1] += " \\"
            lines.append(f"    {word}")
        else:
            lines[-1] += f" {word}" if number else word
    return lines


def _is_path(text: str) -> bool:
    return text.startswith("/") and " /" not in text


def _in_checkout(path: str) -> str:
    """A relative path into the checkout as from there, or "": within the checkout it stays as it is."""
    checkout, here = Path(svmixer.__file__).resolve().parent.parent, Path.cwd()
    target = Path(os.path.normpath(here / path))
    if here.is_relative_to(checkout) or not target.is_relative_to(checkout):
        return ""
    return f"./{target.relative_to(checkout)}"


def _relative(path: str) -> str:
    # The shell's name of the working directory may go through links.
    roots = [os.environ.get("PWD", ""), os.getcwd(), str(Path(svmixer.__file__).resolve().parent.parent)]
    for root in filter(None, roots):
        if path == root:
            return "."
        if path.startswith(f"{root}/"):
            return path[len(root) + 1 :]
    return f"…/{Path(path).name}"
