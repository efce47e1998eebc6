"""``.done`` markers of the stages: what a finished step was made from, and whether that still holds.

A marker is a small JSON file with the stage's name, the digests of its inputs, its options, and the sizes of
its outputs. It has no time or host in it, so the marker of one stage can be an input of the next: the chain
notices a change anywhere upstream. Of the recordings of a ``wav.scp`` it has one digest; what a later check
compares is in ``.audio`` beside the marker (:mod:`svmixer.lists.audio_state`).

    done.py check MARKER --stage dump --input FILE… --config YAML… --option KEY=VALUE… --output FILE…
        exit 0 if that step is finished and current; a config brings the files that it names
        --named YAML: a file that an option names, which is looked up from the first config
        --list FILE: like an input, but one that is not there has not changed
        --audio WAV_SCP: recordings, as they were at the `audio` of that marker
    done.py write MARKER (the same)
    done.py audio MARKER --audio WAV_SCP
        note the recordings before the step reads them; prints their digest
    done.py option MARKER --option KEY
        what the finished step had for that option; nothing if there is none
    done.py require MARKER@STAGE…
        exit 0 if all are there and none is stale, else one line and exit 1
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from svmixer.errors import SvmixerError
from svmixer.fileio import md5_file, read_json, write_json
from svmixer.yaml_files import ENDINGS, find_yaml, read_one

STAGES = {"data": 1, "dump": 2, "distill": 3, "train": 4, "score": 5, "report": 6, "export": 7}


def describe(args: argparse.Namespace) -> dict:
    """The marker's content for files as they are now.

    Configurations go by their base names: the checkout may move, and a later edit makes no result stale, it
    only makes the step itself ask to be done again.

    Raises:
        ConfigError: a configuration cannot be read.
        FileNotFoundError: an input or output is missing.
    """
    configs = [file for name in args.config for file in yaml_files(name)]
    named = [os.path.relpath(find_yaml(name, args.config[0])) for name in args.named]
    configs += [file for name in named for file in yaml_files(name) if file not in configs]
    content: dict = {
        "stage": args.stage,
        "inputs": {name: md5_file(name) for name in sorted(set(args.input))},
        "configs": _digests(configs),
        "options": dict(sorted(option.split("=", 1) for option in args.option)),
        "outputs": {name: os.stat(name).st_size for name in sorted(set(args.output))},
    }
    # Only where there are any, so that markers of earlier versions stay the same.
    if lists := {name: md5_file(name) for name in sorted(set(args.list)) if os.path.isfile(name)}:
        content["lists"] = lists
    return content


def _digests(files: list[str]) -> dict[str, str]:
    """Base name → digest; a base of the same name as what extends it has its folder's name in front."""
    digests: dict[str, str] = {}
    for file in files:
        name = os.path.basename(file)
        if name in digests:
            name = f"{os.path.basename(os.path.dirname(os.path.abspath(file)))}/{name}"
        digests[name] = md5_file(file)
    return dict(sorted(digests.items()))


def audio_file(marker: Path) -> Path:
    """Where the state of a step's recordings is kept."""
    return marker.with_name(".audio")


def yaml_files(name: str) -> list[str]:
    """A configuration file and all the files that its values name, as ``svmixer.config`` finds them."""
    found: list[str] = []
    waiting = [name]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.append(path)
        # Also the file that it extends, whose name is the value of `base`.
        values = list(read_one(path).values())
        while values:
            value = values.pop()
            if isinstance(value, dict):
                values.extend(value.values())
            elif isinstance(value, list):
                values.extend(value)
            elif isinstance(value, str) and value.endswith(ENDINGS):
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
    old, new = found.get("lists", {}), wanted.get("lists", {})
    return changes + [f"{name} changed" for name in old.keys() & new.keys() if old[name] != new[name]]


def audio_changes(marker: Path, content: dict) -> list[str]:
    """Which recordings are others than when the step was done, in words: the first one; or why nobody can
    tell."""
    changes = []
    # Markers of earlier versions do not know theirs; lists and states that are gone cannot have changed.
    for wav_scp in content.get("audio", {}):
        if os.path.isfile(wav_scp) and audio_file(marker).is_file():
            from svmixer.lists import ListError
            from svmixer.lists.audio_state import changed_recording

            try:
                path = changed_recording(wav_scp, audio_file(marker))
            except ListError as error:
                changes.append(str(error))
            else:
                changes += [f"recording {path} changed"] if path else []
    return changes


def staleness(marker: Path) -> str:
    """Why nothing can be built upon what ``marker`` stands for, or "". Missing inputs are no reason."""
    if not marker.is_file():
        return "is missing"
    content = read_json(marker)
    for name, digest in [*content["inputs"].items(), *content.get("lists", {}).items()]:
        if os.path.isfile(name) and md5_file(name) != digest:
            return f"is stale: {name} changed after it was made"
    for name, size in content["outputs"].items():
        if not os.path.isfile(name):
            return f"is incomplete: {name} is missing"
        if os.stat(name).st_size != size:
            return f"is damaged: {name} has {os.stat(name).st_size} bytes, it had {size}"
    changes = audio_changes(marker, content)
    if not changes:
        return ""
    return f"is stale: {changes[0]}" + (" after it was made" if changes[0].endswith(" changed") else "")


def note_audio(marker: Path, wav_scp: str) -> None:
    """Note the recordings of a list for the marker that will be written, and print their digest."""
    from svmixer.lists.audio_state import state_digest, write_state

    write_state(wav_scp, audio_file(marker))
    print(state_digest(audio_file(marker)))


def write(marker: Path, content: dict, audio: list[str]) -> None:
    """Write a marker, with the digest of the recordings that were noted for it."""
    if audio:
        from svmixer.lists.audio_state import state_digest

        content["audio"] = {name: state_digest(audio_file(marker)) for name in audio}
    write_json(marker, content)


def require(markers: list[str]) -> None:
    """Stop with one line naming the first missing or stale step and the stage that makes it."""
    for name in markers:
        path, _, stage = name.partition("@")
        reason = staleness(Path(path))
        if reason:
            subject = os.path.dirname(path)
            raise SvmixerError(
                f"{subject} {reason}; it is made by stage {STAGES[stage]} ({stage}): "
                f"run with --stage {STAGES[stage]}"
            )


def main(argv: list[str] | None = None) -> None:
    """Command line, see the module's head. A marker to ``require`` is written MARKER@STAGE."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("verb", choices=("check", "write", "require", "audio", "option"), help="what to do")
    parser.add_argument("markers", nargs="+", help="files; require: each as MARKER@STAGE")
    parser.add_argument("--stage", choices=sorted(STAGES), help="which stage the step is")
    for name, about in (
        ("input", "file that the step reads, one each"),
        ("config", "YAML file that it reads, with the files named there, one each"),
        ("named", "YAML file that an option names, found as from the first config, one each"),
        ("option", "KEY=VALUE that its result depends on, one each"),
        ("output", "file that it writes, one each"),
        ("list", "input that may be missing: one that is gone has not changed, one each"),
        ("audio", "wav.scp whose recordings it reads, one each"),
    ):
        parser.add_argument(f"--{name}", action="append", default=[], help=about)
    args = parser.parse_args(argv)
    marker = Path(args.markers[0])
    if args.verb == "require":
        require(args.markers)
    elif args.verb == "audio":
        note_audio(marker, args.audio[0])
    elif args.verb == "option":
        print(read_json(marker)["options"].get(args.option[0], "") if marker.is_file() else "")
    else:
        check_or_write(marker, args)


def check_or_write(marker: Path, args: argparse.Namespace) -> None:
    """``check``: exit 1 and what changed, unless nothing has; ``write``: the marker."""
    if args.verb == "check" and not marker.is_file():
        sys.exit(1)
    try:
        wanted = describe(args)
    except FileNotFoundError as error:
        if args.verb == "check":
            print(f"{error.filename} is missing")
            sys.exit(1)
        raise SvmixerError(
            f"{error.filename}: stage {args.stage} was to use or write it, but it is missing"
        ) from None
    if args.verb == "write":
        write(marker, wanted, args.audio)
        return
    content = read_json(marker)
    # Looking at recordings takes longest.
    changes = differences(content, wanted) or audio_changes(marker, content)
    if changes:
        print("; ".join(changes))
        sys.exit(1)
