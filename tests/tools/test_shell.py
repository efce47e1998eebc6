"""Shell and Perl files of the tree: what tests/checks.sh does not look at."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What Debian's perl-base has (it is on every machine): a dispatcher must not need the larger perl package.
PERL_BASE = {
    "strict",
    "warnings",
    "lib",
    "Config",
    "Cwd",
    "Errno",
    "Exporter",
    "Fcntl",
    "File::Basename",
    "File::Path",
    "POSIX",
    "Text::ParseWords",
}


def files() -> list[Path]:
    """The files of the working tree that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    return sorted(path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file())


def starts_with(path: Path, pattern: bytes) -> bool:
    with open(path, "rb") as file:
        return re.match(pattern, file.readline(200)) is not None


def shell_files() -> list[Path]:
    return [path for path in files() if path.suffix == ".sh" or starts_with(path, rb"#!.*\bbash\b")]


def perl_files() -> list[Path]:
    return [path for path in files() if path.suffix in (".pl", ".pm") or starts_with(path, rb"#!.*\bperl\b")]


def test_executed_scripts_are_strict():
    # Sourced files (no "#!") have the mode of their caller.
    lax = [
        str(path.relative_to(ROOT))
        for path in shell_files()
        if starts_with(path, rb"#!") and not re.search(r"^set -euo pipefail$", path.read_text(), re.MULTILINE)
    ]
    assert lax == []


def test_scripts_named_as_commands_are_executable():
    plain = [
        str(path.relative_to(ROOT))
        for path in files()
        if starts_with(path, rb"#!") and path.stat().st_mode & 0o111 == 0
    ]
    assert plain == []


@pytest.mark.parametrize("path", perl_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_perl(path):
    done = subprocess.run(
        ["perl", "-W", f"-I{ROOT / 'tools/perl'}", "-c", path], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, f"{path} syntax OK\n")
    text = path.read_text()
    used = set(re.findall(r"^use ([\w:]+)", text, re.MULTILINE))
    assert "strict" in used
    # The modules that every task of an array loads do without warnings.pm (see Dispatch::Process).
    assert ("warnings" in used) != ("\nBEGIN { $^W = 1 }\n" in text)
    assert {name for name in used if not name.startswith("Dispatch::")} <= PERL_BASE
    if path.suffix == ".pm":
        assert f"package {path.parent.name}::{path.stem};" in text


def environment(**changes: str) -> dict[str, str]:
    settings = {"cmd_backend", "dump_needs", "train_needs", "train_threads", "decode_needs", "export_needs"}
    return {**{k: v for k, v in os.environ.items() if k not in settings}, **changes}


@pytest.mark.parametrize(
    ("backend", "dispatcher"),
    [(None, "run.pl"), ("local", "run.pl"), ("slurm", "slurm.pl"), ("sge", "queue.pl")],
)
def test_backends_of_cmd_sh(backend, dispatcher):
    names = '"$dump_cmd" "$train_cmd" "$decode_cmd" "$export_cmd"'
    script = f'set -e; . ./cmd.sh; for c in {names}; do echo "$c"; done'
    changes = {"cmd_backend": backend} if backend else {}
    env = environment(**changes, decode_needs="--mem 1G", train_threads="3")
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, env=env)
    assert done.returncode == 0
    dump, train, decode, export = (line.split() for line in done.stdout.splitlines())
    local = dispatcher == "run.pl"
    retries = [] if local else ["--retries", "2"]
    common = [dispatcher, "--operators", "false"]
    assert dump == [*common, *retries, "--mem", "2G", "--num-threads", "1", "--time", "12:00:00"]
    assert decode == [*common, *retries, "--mem", "1G"]
    assert export == [*common, *retries, "--mem", "8G", "--time", "12:00:00"]
    threads = [] if local else ["--num-threads", "3"]
    needs = ["--mem", "8G", "--time", "2-00:00:00", "--notice", "600"]
    assert train == [*common, *needs, "--kill-wait", "60", *threads]


def test_cmd_sh_names_the_backends_that_exist():
    script = "set -e; . ./cmd.sh"
    wrong = subprocess.run(
        ["bash", "-c", f"{script}; echo reached"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment(cmd_backend="solar"),
    )
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "cmd.sh: unknown cmd_backend 'solar'; there are: local, slurm, sge\n"


@pytest.mark.parametrize("name", ["dump_cmd", "train_cmd", "decode_cmd", "export_cmd"])
def test_commands_of_cmd_sh_run(name, tmp_path):
    script = f'. "$0/path.sh"; . "$0/cmd.sh"; ${name} --gpu 0 JOB=1:2 a.JOB.log echo "x | y" "|" JOB'
    done = subprocess.run(
        ["bash", "-ec", script, ROOT], cwd=tmp_path, capture_output=True, text=True, env=environment()
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a.2.log").read_text().splitlines()[3] == "x | y | 2"
