#!/usr/bin/env python3
"""Count the size of the code base: python tools/count.py [COMMIT ...]; without one, the working tree.

Prints a Markdown table with a column for each commit, read from git without a checkout. What is counted:

- package lines, package files: Python under svmixer/, blank lines and comments included;
- public names: functions, classes and constants at the top of a module, without a leading underscore;
- Python options: fields of the package's classes called ...Config or ...Options, and options of argparse;
- shell options: where each is declared, a variable with a comment line above it, before the line that sources
  parse_options.sh or a table of options;
- shell lines, Perl lines: by the ending of the name or by the program that the first line names.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORKING_TREE = "working tree"
SUFFIXES = ("", ".py", ".sh", ".pl", ".pm")
SOURCES = re.compile(r"^\s*(\.|source)\s.*options\.sh")
SHELL_OPTION = re.compile(r"^[a-z][a-z0-9_]*=")


def git(*words: str) -> bytes:
    """What git prints, run in the project's folder."""
    return subprocess.run(["git", "-C", str(ROOT), *words], check=True, stdout=subprocess.PIPE).stdout


def files_of(commit: str) -> dict[str, str]:
    """The code of a commit, or of the working tree (what git does not ignore): path → text."""
    if commit == WORKING_TREE:
        listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    else:
        listed = git("ls-tree", "-r", "-z", "--name-only", commit)
    files = {}
    for name in listed.decode().split("\0"):
        if not name or Path(name).suffix not in SUFFIXES:
            continue
        if commit != WORKING_TREE:
            content = git("cat-file", "blob", f"{commit}:{name}")
        elif (ROOT / name).is_file():
            content = (ROOT / name).read_bytes()
        else:
            continue
        files[name] = content.decode(errors="replace")
    return files


def public_names(tree: ast.Module) -> int:
    """Functions, classes and constants at the top of a module whose names have no leading underscore."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return sum(not name.startswith("_") for name in names)


def python_options(tree: ast.Module) -> int:
    """Fields of configuration dataclasses and options given to argparse."""
    total = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Config", "Options")):
            total += sum(isinstance(item, ast.AnnAssign) for item in node.body)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "add_argument":
            first = node.args[0] if node.args else None
            total += isinstance(first, ast.Constant) and str(first.value).startswith("--")
    return total


def shell_options(text: str) -> int:
    """Options that a script declares for tools/parse_options.sh; 0 for a script that does not use it."""
    lines = text.splitlines()
    ends = next((place for place, line in enumerate(lines) if SOURCES.match(line)), 0)
    return sum(
        bool(SHELL_OPTION.match(line)) and lines[place - 1].startswith("#")
        for place, line in enumerate(lines[:ends])
        if place
    )


def is_of(name: str, text: str, endings: tuple[str, ...], word: str) -> bool:
    """Whether the file's ending, or the program that its first line names, is the wanted one."""
    first = text.partition("\n")[0]
    return Path(name).suffix in endings or (first.startswith("#!") and word in first)


def count(files: dict[str, str]) -> dict[str, int]:
    """What is counted → how many."""
    package = [text for name, text in files.items() if re.fullmatch(r"svmixer/.*\.py", name)]
    trees = [ast.parse(text) for text in package]
    shell = {name: text for name, text in files.items() if is_of(name, text, (".sh",), "bash")}
    perl = [text for name, text in files.items() if is_of(name, text, (".pl", ".pm"), "perl")]
    return {
        "package lines": sum(len(text.splitlines()) for text in package),
        "package files": len(package),
        "public names": sum(map(public_names, trees)),
        "Python options": sum(map(python_options, trees)),
        "shell options, run.sh and stages": sum(
            shell_options(text) for name, text in shell.items() if re.match(r"run\.sh|stages/", name)
        ),
        "shell options, all scripts": sum(map(shell_options, shell.values())),
        "shell lines": sum(len(text.splitlines()) for text in shell.values()),
        "Perl lines": sum(len(text.splitlines()) for text in perl),
    }


def main() -> None:
    """Print the table."""
    commits = sys.argv[1:] or [WORKING_TREE]
    try:
        columns = [count(files_of(commit)) for commit in commits]
    except subprocess.CalledProcessError as error:
        raise SystemExit(error.returncode) from None  # git has said why
    print(f"| | {' | '.join(commits)} |")
    print(f"|---|{'---:|' * len(commits)}")
    for name in columns[0]:
        print(f"| {name} | {' | '.join(f'{column[name]:,}' for column in columns)} |")


if __name__ == "__main__":
    main()
