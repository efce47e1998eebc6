"""``svmixer VERB …``: every program of the package by its name, imported when it is called."""

from __future__ import annotations

import ast
import os
import sys
from importlib import import_module
from pathlib import Path

from svmixer import __version__
from svmixer.config import nearest
from svmixer.log import fail

PACKAGE = Path(__file__).resolve().parents[1]
# What people type: verb → module.
VERBS = {
    "verify": "svmixer.cli.verify",
    "enrol": "svmixer.cli.enrol",
    "embed": "svmixer.cli.embed",
    "validate_data_dir": "svmixer.cli.validate_data_dir",
    "fix_data_dir": "svmixer.cli.fix_data_dir",
    "partition_data_dir": "svmixer.cli.partition_data_dir",
    "make_trials": "svmixer.cli.make_trials",
    "complexity": "svmixer.cli.complexity",
    "compare": "svmixer.cli.compare",
    "tables": "svmixer.cli.tables",
    "export": "svmixer.cli.export",
    "convert_released": "svmixer.cli.convert_released",
    "calibrate": "svmixer.cli.calibrate",
    "package_model": "svmixer.cli.package_model",
}
# What the shell stages call; for people who put stages of their own together.
STAGES = {
    name: f"svmixer.stages.{name}"
    for name in (
        "check_text", "cohort", "distill", "done", "dump", "dump_merge", "extract", "pretrain", "record_run",
        "report", "score", "train",
    )
} | {"launch": "svmixer.distributed.launch"}  # fmt: skip
PROGRAMS = VERBS | STAGES
# Modules that the extra [torch] brings, and programs that it is not enough for.
TORCH = ("torch", "scipy", "av", "kaldiio", "safetensors", "humanfriendly", "matplotlib", "markdown")
TRAINING = ("distill", "export", "launch", "pretrain", "train")


def main(argv: list[str] | None = None) -> None:
    """Run the program that the first argument names with the arguments behind it.

    ``help VERB`` is ``VERB --help``. An unknown name ends with one line that gives the nearest, and status 2.
    """
    argv = sys.argv[1:] if argv is None else argv
    while argv[:1] == ["help"]:
        argv = [*argv[1:2], "--help"]
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        return
    if argv[0] == "--version":
        print(__version__)
        return
    verb = argv[0].replace("-", "_")
    if verb not in PROGRAMS:
        print(f"svmixer: unknown verb '{argv[0]}'; {nearest(verb, list(PROGRAMS))}", file=sys.stderr)
        raise SystemExit(2)
    # The name that messages of the program start with.
    sys.argv[0] = f"svmixer {verb}"
    try:
        import_module(PROGRAMS[verb]).main(argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads the output has enough of it (| head). Python would complain at its own end, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package == "svmixer":
            raise
        extras = "torch" if package in TORCH and verb not in TRAINING else "torch,train"
        raise fail(
            f"svmixer {verb} needs {error.name}, which is not installed: "
            f"tools/setup.sh, or pip install 'svmixer[{extras}]'"
        ) from None


def overview() -> str:
    """Every verb with the first line of its module's description, read without importing it."""
    lines = ["usage: svmixer VERB [--key value ...]     (svmixer help VERB for its options)", ""]
    for verb, module in VERBS.items():
        path = PACKAGE.parent / (module.replace(".", "/") + ".py")
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        lines.append(f"  {verb:20} {text.partition(chr(10))[0]}")
    return "\n".join([*lines, "", f"programs of the stages: {', '.join(STAGES)}"])


if __name__ == "__main__":
    main()
