"""tools/docker: the docker command that each script runs, and that the Dockerfile's files exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tools/docker"

# Stands in for docker: writes down its arguments, and says whether BuildKit was asked for.
FAKE = """\
#!/usr/bin/env bash
printf '%s\\0' "$@" >"$DOCKER_CALL"
echo "BuildKit: ${DOCKER_BUILDKIT-unset}"
exit 7
"""


class Scripts:
    """The scripts, run in a directory of the test's own with a stand-in for docker first on PATH."""

    def __init__(self, folder: Path) -> None:
        self.call_file = folder / "call"
        self.work = folder / "work here"  # with a blank, as users have them
        self.work.mkdir()
        self.bin = folder / "bin"
        self.bin.mkdir()
        (self.bin / "docker").write_text(FAKE)
        (self.bin / "docker").chmod(0o755)

    def run(self, name: str, *words: object, cwd: Path | None = None, path: str | None = None):
        self.call_file.unlink(missing_ok=True)
        env = {**os.environ, "DOCKER_CALL": str(self.call_file)}
        env["PATH"] = f"{self.bin}:{os.environ['PATH']}" if path is None else path
        env.pop("DOCKER_BUILDKIT", None)
        command = [shutil.which("bash"), str(FOLDER / name), *map(str, words)]
        return subprocess.run(
            command,
            cwd=cwd or self.work,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def call(self, name: str, *words: object, cwd: Path | None = None) -> list[str]:
        """The arguments that docker gets; its exit status must be the script's."""
        done = self.run(name, *words, cwd=cwd)
        assert (done.returncode, done.stderr) == (7, "")
        if name == "build.sh":
            assert done.stdout == "BuildKit: 1\n"
        return self.call_file.read_text().split("\0")[:-1]

    def refused(self, name: str, *words: object, **how: object) -> str:
        """The one line of a refusal, after which docker was not started."""
        done = self.run(name, *words, **how)
        assert done.returncode == 1
        assert done.stdout == ""
        assert not self.call_file.exists()
        (line,) = done.stderr.splitlines()
        return line


@pytest.fixture
def scripts(tmp_path) -> Scripts:
    return Scripts(tmp_path)


def without_label(call: list[str]) -> list[str]:
    """A build's arguments without the label of the commit, which is there in a git checkout alone."""
    if "--label" in call:
        place = call.index("--label")
        assert re.fullmatch(r"org\.opencontainers\.image\.revision=[0-9a-f]{40}(-dirty)?", call[place + 1])
        return call[:place] + call[place + 2 :]
    return call


@pytest.mark.parametrize(
    ("words", "middle"),
    [
        ([], ["--build-arg", "VARIANT=cpu", "--tag", "svmixer:cpu"]),
        (["--variant", "cuda"], ["--build-arg", "VARIANT=cuda", "--tag", "svmixer:cuda"]),
        (
            ["--variant=cpu", "--tag", "mine:1", "--python", "3.11.13"],
            [
                "--build-arg",
                "VARIANT=cpu",
                "--build-arg",
                "BASE=python:3.11.13-slim-bookworm",
                "--tag",
                "mine:1",
            ],
        ),
    ],
)
def test_build(scripts, words, middle):
    call = without_label(scripts.call("build.sh", *words))
    assert call == ["build", "--file", f"{ROOT}/tools/docker/Dockerfile", *middle, str(ROOT)]


def test_build_names_the_commit(scripts):
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip()
    call = scripts.call("build.sh")
    assert call[call.index("--label") + 1].removesuffix("-dirty").endswith(f"revision={commit}")


def test_build_hands_pip_conf_over_as_a_secret(scripts):
    (scripts.work / "my pip.conf").write_text("[global]\n")
    call = without_label(scripts.call("build.sh", "--pip_conf", "my pip.conf"))
    assert call[3:7] == ["--build-arg", "VARIANT=cpu", "--secret", "id=pip_conf,src=my pip.conf"]
    # The Dockerfile takes it by that name.
    assert "type=secret,id=pip_conf,target=/etc/pip.conf" in (FOLDER / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--variant", "gpu"], "build.sh: --variant must be cpu or cuda, not 'gpu'"),
        (
            ["--varient", "cpu"],
            "build.sh: unknown option --varient; did you mean --variant? (--help lists them)",
        ),
        (["--pip_conf", "none.conf"], "build.sh: no such file: none.conf"),
        (["image"], "build.sh: unexpected argument 'image' (see --help)"),
        (
            ["--python", "3.12"],
            "build.sh: --python must be a version from 3.10 to 3.13 to its last digit (3.11.13), not '3.12'",
        ),
    ],
)
def test_build_refuses(scripts, words, line):
    assert scripts.refused("build.sh", *words) == line


def test_build_refuses_a_path_that_docker_would_split(scripts):
    (scripts.work / "a,b.conf").write_text("")
    assert "a comma or a quotation mark in a path: a,b.conf" in scripts.refused(
        "build.sh", "--pip_conf", "a,b.conf"
    )


def expected_run(work: Path, *, shm: str = "2g", more: list[str] | None = None, image: str) -> list[str]:
    name = subprocess.check_output(["id", "-un"], text=True).strip()
    return [
        *("run", "--rm", "--init", "--user", f"{os.getuid()}:{os.getgid()}", "--shm-size", shm),
        *("--mount", f"type=bind,source={work},target={work}", "--workdir", str(work)),
        *("--env", "HOME=/tmp", "--env", f"USER={name}", "--env", f"XDG_CACHE_HOME={work}/.cache"),
        *(more or []),
        image,
    ]


def test_launch_on_the_cpu(scripts):
    command = ["svmixer", "embed", "--model", "a model", "x y.wav", "", "$HOME", "--gpus"]
    call = scripts.call("launch.sh", *command)
    assert call == [*expected_run(scripts.work, image="svmixer:cpu"), *command]


def test_launch_without_a_command_leaves_it_to_the_image(scripts):
    assert scripts.call("launch.sh") == expected_run(scripts.work, image="svmixer:cpu")


@pytest.mark.parametrize(
    ("given", "passed"),
    [("all", "all"), ("2", "2"), ("device=1", "device=1"), ("device=0,1", '"device=0,1"')],
)
def test_launch_with_gpus(scripts, given, passed):
    call = scripts.call("launch.sh", "--gpus", given, "--", "nvidia-smi", "-L")
    more = ["--gpus", passed]
    assert call == [*expected_run(scripts.work, more=more, image="svmixer:cuda"), "nvidia-smi", "-L"]


def test_launch_with_data_image_and_memory(scripts, tmp_path):
    data = tmp_path / "speech corpus"
    data.mkdir()
    call = scripts.call(
        "launch.sh", "--data", "../speech corpus", "--image", "mine:1", "--gpus", "all", "--shm_size=8g", "ls"
    )
    more = ["--mount", f"type=bind,source={data},target={data},readonly", "--gpus", "all"]
    assert call == [*expected_run(scripts.work, shm="8g", more=more, image="mine:1"), "ls"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--gpu", "all"], "launch.sh: unknown option --gpu; did you mean --gpus? (--help lists them)"),
        (["--data", "no such"], "launch.sh: --data: no such directory: no such"),
        (["--gpus"], "launch.sh: option --gpus needs a value"),
    ],
)
def test_launch_refuses(scripts, words, line):
    assert scripts.refused("launch.sh", *words) == line


def test_launch_refuses_places_that_it_cannot_mount(scripts):
    comma = scripts.work / "a,b"
    comma.mkdir()
    line = f"launch.sh: docker cannot be given a comma or a quotation mark in a path: {comma}"
    assert scripts.refused("launch.sh", "ls", cwd=comma) == line
    assert scripts.refused("launch.sh", "--data", comma, "ls") == line
    root = scripts.refused("launch.sh", "ls", cwd=Path("/"))
    assert root == "launch.sh: the current directory, /, would hide what the image has there"


@pytest.mark.parametrize("name", ["build.sh", "launch.sh"])
def test_without_docker(scripts, tmp_path, name):
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("awk", "cut", "dirname", "grep"):
        (tools / tool).symlink_to(shutil.which(tool))
    assert scripts.refused(name, path=str(tools)) == f"{name}: docker is not on PATH"


def instructions() -> list[list[str]]:
    """The Dockerfile's instructions, comments out and continued lines joined, as words."""
    lines = [line for line in (FOLDER / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    return [line.split() for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line]


def test_what_the_dockerfile_copies_exists():
    copied = []
    for instruction, *words in instructions():
        if instruction == "COPY" and not any(word.startswith("--from=") for word in words):
            *sources, target = [word for word in words if not word.startswith("--")]
            assert target.endswith("/") or len(sources) == 1
            copied += sources
    assert {"setup.cfg", "tools/setup.sh", "."} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []
    # All that the set-up reads is there before it runs: its fingerprint is of these two files.
    assert {"setup.cfg", "tools/setup.sh", "tools/parse_options.sh", "tools/apt.sh"} <= set(copied)


def test_the_dockerfile_is_pinned_unprivileged_and_has_both_variants():
    words = instructions()
    (base,) = [line[1] for line in words if line[0] == "ARG" and line[1].startswith("BASE=")]
    assert re.fullmatch(r"BASE=python:3\.\d+\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", base)
    stages = {line[3]: line[1] for line in words if line[0] == "FROM" and len(line) == 4}
    assert stages["cpu"] == stages["cuda"] == "${BASE}"
    assert stages["system"] == "${VARIANT}"
    users = [line[1] for line in words if line[0] == "USER"]
    assert users and not any(user.startswith(("0", "root")) for user in users)
    # The last stage begins anew as root.
    names = [line[0] for line in words]
    assert "USER" in names[len(names) - names[::-1].index("FROM") :]


def test_what_runs_leave_behind_stays_out_of_the_image():
    """.dockerignore has what .gitignore has: data, results, environments."""
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text().split()
    for line in (ROOT / ".gitignore").read_text().split():
        name = line.strip("/")
        assert name in ignored or f"**/{name}" in ignored, line
    assert ".git" in ignored


def test_the_test_of_the_image_says_why_it_does_not_run(scripts):
    needed = ["bash", "dirname", "id", "awk", "cut", "grep"]
    for name in needed:
        (scripts.bin / name).symlink_to(shutil.which(name))
    done = scripts.run("test.sh", path=str(scripts.bin))
    missing = "root is needed" if os.getuid() else "buildah is not on PATH"
    assert done.returncode == 77
    assert done.stdout.startswith(f"not run: {missing}")
    assert done.stderr == ""
