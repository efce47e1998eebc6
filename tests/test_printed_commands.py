"""Commands that pages print: a shell can read them, and their programs, files and options exist.

What is checked are the blocks of shell code of all pages, and code in the text that begins like a command.
Nothing is run but ``--help``.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from svmixer.cli.main import STAGES, VERBS
from svmixer.cli.main import main as svmixer

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "egs/**/*.md", "svmixer/assets/*/*.md", "benchmarks/*.md")
    for page in ROOT.glob(pattern)
    # The changelog speaks of what is gone, too.
    if "exp" not in page.parts and page.name != "CHANGELOG.md"
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Code in the text that is a command: of this project, or Python's.
INLINE = re.compile(
    r"(?<!`)`((?:\w+=\S+ )*(?:\./|tools/|stages/|egs/|tests/|benchmarks/|local/|svmixer |python )[^`]*)`"
)
# Files of this project, named in the text.
FILE = re.compile(
    r"(?<!`)`((?:svmixer|tools|stages|tests|benchmarks|conf|docs)/[\w./-]+\.(?:py|sh|pl|md|yaml|conf))`"
)
# Programs that are none of this project's, and words of a shell.
FOREIGN = {
    "cat", "cd", "cp", "echo", "eval", "export", "git", "npm", "pip", "pre-commit", "rm", "sbatch", "sed",
    "tmux",
}  # fmt: skip
WRAPPERS = {"exec", "env", "nohup"}
# Options of run.sh whose value is options of another program.
NESTED = {"distill_args": "distill", "train_args": "train", "export_args": "export"}


class Wrong(Exception):
    """What is wrong with a command."""


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands(text: str) -> Iterator[list[str]]:
    """The simple commands of shell code, as lists of words; redirections are left out."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        command: list[str] = []
        words = iter(lexer)
        for word in words:
            if set(word) <= set("<>&") and set(word) & set("<>"):
                next(words, None)
            elif set(word) <= set("();|&"):
                if command:
                    yield command
                command = []
            elif word != "$":
                command.append(word)
        if command:
            yield command


@functools.cache
def shell_options(script: Path) -> frozenset[str] | None:
    """The options of a shell script that parses them as this project's do, else None."""
    text = script.read_text(encoding="utf-8")
    # A recipe's run.sh hands its options on.
    if re.search(r'^exec "\$recipe/\.\./\.\./\.\./run\.sh"', text, re.MULTILINE):
        return shell_options(ROOT / "run.sh")
    if re.search(r'^exec "\$recipe/\.\./\.\./\.\./tools/run_tables\.sh"', text, re.MULTILINE):
        return shell_options(ROOT / "tools/run_tables.sh")
    if not re.search(r"(parse_options|stages/options|/options)\.sh", text):
        return None
    done = subprocess.run([script, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return frozenset(re.findall(r"^  --(\w+)", done.stdout, re.MULTILINE))


@functools.cache
def help_options(*command: str) -> frozenset[str]:
    """The options that ``--help`` of a program names: ``svmixer VERB``, ``-m MODULE`` or a file."""
    said = io.StringIO()
    argv, path = sys.argv, list(sys.path)
    # In this process, which has imported torch already.
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            sys.argv = [command[-1], "--help"]
            if command[0] == "svmixer":
                svmixer([*command[1:], "--help"])
            elif command[0] == "-m":
                runpy.run_module(command[1], run_name="__main__", alter_sys=True)
            elif command[0].endswith(".py"):
                sys.path.insert(0, str(Path(command[0]).parent))
                runpy.run_path(command[0], run_name="__main__")
            else:
                print(subprocess.check_output([*command, "--help"], text=True))
        except SystemExit as end:
            if end.code:
                raise Wrong(said.getvalue().strip() or str(end)) from None
        finally:
            sys.argv, sys.path[:] = argv, path
    return frozenset(name.replace("-", "_") for name in re.findall(r"--([A-Za-z][\w.-]*)", said.getvalue()))


def given_options(words: list[str]) -> dict[str, str]:
    """The options among ``words`` with their values."""
    found = {}
    for number, word in enumerate(words):
        if match := re.fullmatch(r"--([A-Za-z][\w.-]*)(?:=(.*))?", word, re.DOTALL):
            value = match[2] if match[2] is not None else "".join(words[number + 1 : number + 2])
            found[match[1].replace("-", "_")] = value
    return found


def check_options(words: list[str], known: frozenset[str], name: str) -> None:
    # A section may be named as a whole, with a file that has its keys.
    sections = {name.rpartition(".")[0] for name in known}
    sections |= {name.rpartition(".")[0] for name in sections}
    unknown = set(given_options(words)) - known - sections - {"help"}
    if unknown:
        raise Wrong(f"{name} has no option {', '.join(sorted(unknown))}")


def recipe_of(page: Path, script: Path, options: dict[str, str]) -> Path:
    """The recipe whose local/data.sh gets ``--local_data_opts``."""
    if "recipe" in options:
        return ROOT / options["recipe"]
    if script.parent != ROOT:
        return script.parent
    if page.name == "own_data.md":
        return ROOT / "egs/TEMPLATE/sv1"
    return (
        ROOT
        / "egs"
        / (page.parts[page.parts.index("egs") + 1] if "egs" in page.parts else "debian_voices")
        / "sv1"
    )


def check_script(script: Path, words: list[str], page: Path) -> None:
    """A script of this project with its options."""
    if not given_options(words):
        return
    known = shell_options(script) if script.suffix == ".sh" else help_options(str(script))
    if known is None:
        return
    here, rest = words, []
    # Options of what launch.sh starts are not its own.
    if script.name == "launch.sh":
        start = next((n for n, word in enumerate(words) if word.startswith("/opt/svmixer/")), len(words))
        here, rest = words[:start], words[start:]
    check_options(here, known, script.name)
    if rest:
        check([rest[0].replace("/opt/svmixer", str(ROOT)), *rest[1:]], page)
    for name, value in given_options(here).items():
        if name == "local_data_opts":
            recipe = recipe_of(page, script, given_options(here))
            known_data = shell_options(recipe / "local/data.sh")
            check_options(
                shlex.split(value), known_data or frozenset(), f"{recipe.parent.name}'s local/data.sh"
            )
        elif name in NESTED and script.name == "run.sh":
            check_options(shlex.split(value), help_options("svmixer", NESTED[name]), name)


def check_python(words: list[str], page: Path) -> None:
    """``python -m MODULE``, ``python -c CODE`` or ``python FILE`` with what follows."""
    if words[:1] == ["-c"]:
        compile(words[1], page_name(page), "exec")
    elif words[:2] == ["-m", "pytest"]:
        missing = [
            word for word in words[2:] if "/" in word and not (ROOT / word.partition("::")[0]).exists()
        ]
        if missing:
            raise Wrong(f"no such test: {missing[0]}")
        for file, _, test in (word.partition("::") for word in words[2:] if "::" in word):
            if f"def {test}(" not in (ROOT / file).read_text(encoding="utf-8"):
                raise Wrong(f"no test {test} in {file}")
    elif words[:1] == ["-m"]:
        if words[1] == "venv":
            return
        if words[1].rpartition(".")[2].isupper():
            return
        if words[1] == "svmixer":
            check(words[1:], page)
            return
        if importlib.util.find_spec(words[1]) is None:
            raise Wrong(f"no module {words[1]}")
        # ESPnet's own options are the tests' of these modules, which take a minute to import.
        if not words[1].startswith("svmixer.espnet.spk_"):
            check_options(words[2:], help_options("-m", words[1]), words[1])
    elif not (ROOT / words[0]).is_file():
        raise Wrong(f"no such file: {words[0]}")
    elif given_options(words[1:]):
        check_options(words[1:], help_options(str(ROOT / words[0])), words[0])


def find_script(program: str, page: Path) -> Path:
    """The file that ``program`` names, as seen from the project, the page, a new recipe or ``PATH``."""
    for folder in (ROOT, page.parent, ROOT / "egs/TEMPLATE/sv1", ROOT / "tools"):
        if (folder / program).is_file():
            return (folder / program).resolve()
    raise Wrong(f"no such program: {program}")


def check(words: list[str], page: Path) -> None:
    """One simple command.

    Raises:
        Wrong: its program, a file or an option does not exist.
    """
    words = list(words)
    while words and (words[0] in WRAPPERS or re.match(r"[A-Za-z_]\w*=", words[0])):
        del words[0]
    if not words or "…" in words[0]:
        return
    # One test of a file is named in pytest's way.
    program, rest = words[0].removeprefix("svmixer-env/bin/").partition("::")[0], words[1:]
    if program in (".", "source"):
        find_script(rest[0], page)
    elif program == "svmixer":
        if rest and not rest[0].startswith("-") and rest[0] != "VERB":
            check_options(rest[1:], help_options("svmixer", rest[0].replace("-", "_")), f"svmixer {rest[0]}")
    elif program in ("python", "python3"):
        check_python(rest, page)
    elif program in FOREIGN:
        if program == "sbatch" and "wrap" in (options := given_options(rest)):
            for command in commands(options["wrap"]):
                check(command, page)
    elif not (ROOT / program).is_dir():
        script = find_script(program, page)
        # Sourced files and texts are named, not run.
        if rest:
            if not script.stat().st_mode & 0o111:
                raise Wrong(f"{program} cannot be executed")
            check_script(script, rest, page)


def printed(page: Path) -> Iterator[str]:
    """The shell code of a page, blocks first."""
    text = page.read_text(encoding="utf-8")
    for language, block in FENCE.findall(text):
        if language == "bash" or (not language and re.match(r"\./run\.sh|tools/|egs/", block)):
            yield block
    yield from (code for code in INLINE.findall(FENCE.sub("", text)) if not code.startswith("svmixer …"))


@pytest.mark.parametrize("page", [page for page in PAGES if any(printed(page))], ids=page_name)
def test_commands_of_a_page(page):
    problems = []
    for code in printed(page):
        syntax = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True)
        if syntax.returncode:
            problems.append(f"{code}: {syntax.stderr}")
            continue
        for command in commands(code):
            try:
                check(command, page)
            except Wrong as error:
                problems.append(f"{shlex.join(command)}: {error}")
    assert problems == []


@functools.cache
def help_of(*words: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        svmixer([*words])
    return said.getvalue()


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_has_an_example_whose_options_exist(verb):
    about, _, rows = help_of(verb, "--help").partition("\noptions:\n")
    options = frozenset(re.findall(r"^  --(\S+) ", rows, re.MULTILINE))
    examples = [line for line in about.replace("\\\n", " ").splitlines() if line.startswith("    svmixer ")]
    mine = [words for example in examples for words in commands(example) if words[:2] == ["svmixer", verb]]
    assert mine, about
    for words in mine:
        check_options(words, options, f"svmixer {verb}")


def test_the_overview_has_every_verb_once_and_no_program_of_the_stages():
    listed = re.findall(r"^  (\w+) +[A-Z].*\.$", help_of("--help"), re.MULTILINE)
    assert listed == list(VERBS)
    assert re.findall(r"^  (\w+) +[A-Z].*\.$", help_of("help", "stages"), re.MULTILINE) == list(STAGES)
    assert not set(VERBS) & set(STAGES)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_files_that_a_page_names_exist(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    folders = [ROOT, page.parent, *ROOT.glob("egs/*/sv1")]
    missing = [
        name for name in FILE.findall(text) if not any((folder / name).is_file() for folder in folders)
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("./run.sh --stege 3", "run.sh has no option stege"),
        ("./run.sh --distill_args '--loop.max_epoch 3'", "distill_args has no option loop.max_epoch"),
        ("./run.sh --local_data_opts '--voice full'", "debian_voices's local/data.sh has no option voice"),
        ("tools/nothing.sh --x 1", "no such program: tools/nothing.sh"),
        ("svmixer verfy a.wav", "unknown verb 'verfy'"),
        ("svmixer verify a.wav b.wav --modle pocket", "svmixer verify has no option modle"),
        ("python -m pytest tests/test_docs.py::test_nothing", "no test test_nothing in tests/test_docs.py"),
        ("python -m svmixer compare --run x", "svmixer compare has no option run"),
        ("python benchmarks/peak.py --ouptut x", "benchmarks/peak.py has no option ouptut"),
        ("cat a | tools/setup.sh --chekc true >log", "setup.sh has no option chekc"),
        ("sbatch --wrap 'exec env a=b ./run.sh --nj 2 --ngp 1'", "run.sh has no option ngp"),
        ("tools/docker/launch.sh --gpus all /opt/svmixer/run.sh --ngp 1", "run.sh has no option ngp"),
        ("slurm.pl --mem 2G --tiem 1:00:00 a.log true", "slurm.pl has no option tiem"),
    ],
)
def test_mistakes_are_found(code, problem):
    with pytest.raises(Wrong, match=re.escape(problem)):
        for command in commands(code):
            check(command, ROOT / "README.md")
