"""``.done`` markers of the stages: what a finished step was made from, and whether that still holds.

A marker is a small JSON file with the stage's name, the digests of its inputs, its options, and the sizes of
its outputs. It has no time or host in it, so the marker of one stage can be an input of the next: the chain
notices a change anywhere upstream.

    done.py check MARKER --stage dump --input FILE… --config YAML… --option KEY=VALUE… --output FILE…
        exit 0 if that step is finished and current; a config brings the files that it names
    done.py write MARKER (the same)
    done.py require MARKER@STAGE…
        exit 0 if all are there and none is stale, else one line and exit 1
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from svmixer.config import ConfigError
from svmixer.fileio import md5_file, read_json, write_json
from svmixer.log import fail
from svmixer.yaml_files import find_yaml, read_yaml

STAGES = {"data": 1, "dump": 2, "distill": 3, "train": 4, "score": 5, "report": 6, "export": 7}


def describe(
    stage: str, inputs: list[str], configs: list[str], options: list[str], outputs: list[str]
) -> dict:
    """The marker's content for files as they are now.

    Configurations go by their base names: the checkout may move, and a later edit makes no result stale, it
    only makes the step itself ask to be done again.

    Raises:
        FileNotFoundError: an input or output is missing.
    """
    return {
        "stage": stage,
        "inputs": {name: md5_file(name) for name in sorted(set(inputs))},
        "configs": dict(sorted((os.path.basename(name), md5_file(name)) for name in configs)),
        "options": dict(sorted(option.split("=", 1) for option in options)),
        "outputs": {name: os.stat(name).st_size for name in sorted(set(outputs))},
    }


def yaml_files(name: str) -> list[str]:
    """A configuration file and all the files that its values name, as ``svmixer.config`` finds them."""
    found: list[str] = []
    waiting = [name]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.append(path)
        values = list(read_yaml(path).values())
        while values:
            value = values.pop()
            if isinstance(value, dict):
                values.extend(value.values())
            elif isinstance(value, str) and value.endswith((".yaml", ".yml")):
                waiting.append(os.path.relpath(find_yaml(value, path)))
    return found


def differences(found: dict, wanted: dict) -> list[str]:
    """What changed between two markers, in words."""
    changes = []
    for part, noun in (
        ("inputs", ""),
        ("configs", "configuration "),
        ("options", "option "),
        ("outputs", ""),
    ):
        old, new = found.get(part, {}), wanted[part]
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                values = (
                    f" ({old.get(name, 'unset')} → {new.get(name, 'unset')})" if part == "options" else ""
                )
                changes.append(f"{noun}{name}{values} changed")
    return changes


def staleness(marker: Path) -> str:
    """Why nothing can be built upon what ``marker`` stands for, or "". Missing inputs are no reason."""
    if not marker.is_file():
        return "is missing"
    content = read_json(marker)
    for name, digest in content["inputs"].items():
        if os.path.isfile(name) and md5_file(name) != digest:
            return f"is stale: {name} changed after it was made"
    for name, size in content["outputs"].items():
        if not os.path.isfile(name):
            return f"is incomplete: {name} is missing"
        if os.stat(name).st_size != size:
            return f"is damaged: {name} has {os.stat(name).st_size} bytes, it had {size}"
    return ""


def require(markers: list[str]) -> None:
    """Stop with one line naming the first missing or stale step and the stage that makes it."""
    for name in markers:
        path, _, stage = name.partition("@")
        reason = staleness(Path(path))
        if reason:
            subject = os.path.dirname(path)
            raise fail(
                f"{subject} {reason}; it is made by stage {STAGES[stage]} ({stage}): "
                f"run with --stage {STAGES[stage]}"
            )


def main(argv: list[str] | None = None) -> None:
    """Command line, see the module's head. A marker to ``require`` is written MARKER@STAGE."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("verb", choices=("check", "write", "require"), help="what to do")
    parser.add_argument("markers", nargs="+", help="files; require: each as MARKER@STAGE")
    parser.add_argument("--stage", choices=sorted(STAGES), help="which stage the step is")
    for name, about in (
        ("input", "file that the step reads, one each"),
        ("config", "YAML file that it reads, with the files named there, one each"),
        ("option", "KEY=VALUE that its result depends on, one each"),
        ("output", "file that it writes, one each"),
    ):
        parser.add_argument(f"--{name}", action="append", default=[], help=about)
    args = parser.parse_args(argv)
    if args.verb == "require":
        require(args.markers)
        return
    marker = Path(args.markers[0])
    if args.verb == "check" and not marker.is_file():
        sys.exit(1)
    try:
        configs = [file for name in args.config for file in yaml_files(name)]
        wanted = describe(args.stage, args.input, configs, args.option, args.output)
    except ConfigError as error:
        raise fail(str(error)) from None
    except FileNotFoundError as error:
        if args.verb == "check":
            print(f"{error.filename} is missing")
            sys.exit(1)
        raise fail(
            f"{error.filename}: stage {args.stage} was to use or write it, but it is missing"
        ) from None
    if args.verb == "write":
        write_json(marker, wanted)
        return
    changes = differences(read_json(marker), wanted)
    if changes:
        print("; ".join(changes))
        sys.exit(1)


if __name__ == "__main__":
    main()
