"""Completion of verbs, options and their values with the TAB key: svmixer completion bash|zsh|fish

Prints a script for that shell. In bash, for this session and for all later ones:

    eval "$(svmixer completion bash)"
    svmixer completion bash > ~/.local/share/bash-completion/completions/svmixer
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from svmixer.config import nearest, parse_args
from svmixer.errors import UsageError
from svmixer.inference.embedding_model import DESCRIPTION, shipped_models

# Longer explanations fit no line of a terminal.
_MOST_LETTERS = 70


@dataclass(frozen=True)
class CompletionConfig:
    """Options of ``svmixer completion``."""

    # The shell: bash, zsh or fish; the name of this option may be left out.
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Option:
    """An option of a verb."""

    name: str
    about: str
    # Words that it takes, if they are known.
    choices: tuple[str, ...]
    # Whether it may stand without a value.
    switch: bool


@dataclass(frozen=True)
class Verb:
    """What can follow ``svmixer``."""

    name: str
    about: str
    options: tuple[Option, ...]


def main(argv: list[str] | None = None) -> None:
    """Print the script of a shell."""
    config = parse_args(CompletionConfig, argv, __doc__)
    if len(config.files) != 1 or config.files[0] not in SCRIPTS:
        wrong = [shell for shell in config.files if shell not in SCRIPTS]
        which = f"'{wrong[0]}': {nearest(wrong[0], list(SCRIPTS))}" if wrong else "one shell is needed"
        raise UsageError(f"{which}: svmixer completion {'|'.join(SCRIPTS)}")
    print("\n".join(SCRIPTS[config.files[0]](list(find_verbs()))))


def find_verbs() -> Iterator[Verb]:
    """Every verb with its options, as its help has them."""
    # Imported here: that module names this one.
    from svmixer.cli.main import VERBS, run_program

    models = tuple(shipped_models("export", (DESCRIPTION,)))
    for name, (_, about) in VERBS.items():
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            run_program(name, ["--help", "--json"])
        options = (as_option(row, models) for row in json.loads(said.getvalue())["options"])
        yield Verb(name, about, tuple(options))


def as_option(row: dict[str, Any], models: tuple[str, ...]) -> Option:
    """A row of ``--help --json``; ``models`` come with the package."""
    choices = models if row["name"] == "model" else tuple(row["choices"])
    about = re.split(r"[.;:](?: |$)", row["help"])[0]
    if len(about) > _MOST_LETTERS:
        about = about[:_MOST_LETTERS].rpartition(" ")[0] + " …"
    return Option(row["name"], about, choices, row["switch"])


# Words of an option's value come before names of options; names of files where neither is known.
BASH_HEAD = """\
# svmixer in bash, made by: svmixer completion bash
_svmixer() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]//-/_}
    local words=
    COMPREPLY=()
    # --option=value comes as three words.
    if [ "$word" = = ]; then
        word=
    elif [ "$before" = = ]; then
        before=${COMP_WORDS[COMP_CWORD-2]}
    fi
    if [ "$COMP_CWORD" -eq 1 ] || { [ "$COMP_CWORD" -eq 2 ] && [ "$verb" = help ]; }; then
        words='VERBS help'
    else
        case "$verb $before" in"""
BASH_TAIL = """\
            esac
        fi
    fi
    [ -z "$words" ] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _svmixer svmixer"""


def bash(verbs: list[Verb]) -> Iterator[str]:
    """A function for ``complete``; it starts no program."""
    yield BASH_HEAD.replace("VERBS", " ".join(verb.name for verb in verbs))
    for verb in verbs:
        for option in verb.options:
            if option.choices:
                yield f"            '{verb.name} --{option.name}') words='{' '.join(option.choices)}' ;;"
    yield from (
        "        esac",
        '        if [ -z "$words" ] && [[ $word == -* ]]; then',
        '            case "$verb" in',
    )
    for verb in verbs:
        options = " ".join(f"--{option.name}" for option in verb.options)
        yield f"                {verb.name}) words='{options} --config --help' ;;"
    yield BASH_TAIL


def zsh(verbs: list[Verb]) -> Iterator[str]:
    """For the function ``_arguments`` of zsh's own completion."""
    models = " ".join(shipped_models("export", (DESCRIPTION,)))
    yield from (
        "#compdef svmixer",
        "# svmixer in zsh, made by: svmixer completion zsh",
        f"_svmixer_models() {{ _alternative 'names:name:({models})' 'directories:directory:_files -/' }}",
        "_svmixer() {",
        "    local curcontext=$curcontext state line",
        "    local -a verbs",
        "    verbs=(",
    )
    yield from (f"        '{verb.name}:{quoted(verb.about)}'" for verb in verbs)
    yield from (
        "    )",
        "    _arguments -C '1:verb:->verb' '*::argument:->argument'",
        "    case $state in",
        "        verb) _describe verb verbs ;;",
        "        argument)",
        "            case ${line[1]//-/_} in",
        "                help) _describe verb verbs ;;",
    )
    for verb in verbs:
        yield f"                {verb.name}) _arguments '*:file:_files' '--config[YAML file]:file:_files' \\"
        yield from (f"                    {zsh_option(option)} \\" for option in verb.options)
        yield "                    '--help[options and an example]' ;;"
    yield from (
        "            esac ;;",
        "    esac",
        "}",
        '[ "${funcstack[1]}" = _svmixer ] && _svmixer "$@" || compdef _svmixer svmixer',
    )


def zsh_option(option: Option) -> str:
    """One argument of ``_arguments``."""
    about = re.sub(r"([\[\]:])", r"\\\1", quoted(option.about))
    value = f"({' '.join(option.choices)})" if option.choices else "_files"
    if option.name == "model":
        value = "_svmixer_models"
    return f"'--{option.name}[{about}]'" if option.switch else f"'--{option.name}[{about}]:value:{value}'"


def fish(verbs: list[Verb]) -> Iterator[str]:
    """A ``complete`` for each verb and option."""
    yield "# svmixer in fish, made by: svmixer completion fish"
    names = " ".join(verb.name for verb in verbs)
    for verb in verbs:
        yield f"complete -c svmixer -n __fish_use_subcommand -f -a {verb.name} -d '{fish_quoted(verb.about)}'"
    yield f"complete -c svmixer -n '__fish_seen_subcommand_from help' -f -a '{names}'"
    for verb in verbs:
        when = f"complete -c svmixer -n '__fish_seen_subcommand_from {verb.name}'"
        for option in verb.options:
            value = (
                f" -x -a '{' '.join(option.choices)}'" if option.choices else "" if option.switch else " -r"
            )
            if option.name == "model" and option.choices:
                value = value.replace(" -x", " -r")
            yield f"{when} -l {option.name}{value} -d '{fish_quoted(option.about)}'"


def quoted(text: str) -> str:
    """For between the single quotes of zsh."""
    return text.replace("'", "'\\''")


def fish_quoted(text: str) -> str:
    """For between the single quotes of fish."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


SCRIPTS: dict[str, Callable[[list[Verb]], Iterator[str]]] = {"bash": bash, "zsh": zsh, "fish": fish}
