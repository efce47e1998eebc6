"""``svmixer VERB …``: the package's programs under one name; each is also ``python -m svmixer.bin.VERB``."""

from __future__ import annotations

import ast
import os
import sys
from importlib import import_module
from pathlib import Path

from svmixer import __version__
from svmixer.config import nearest
from svmixer.log import fail

BIN = Path(__file__).parent
# Modules that the extra [torch] brings, and verbs that it is not enough for.
TORCH = ("torch", "scipy", "av", "kaldiio", "safetensors", "humanfriendly", "matplotlib", "markdown")
TRAINING = ("distill", "export", "launch", "pretrain", "train")


def main(argv: list[str] | None = None) -> None:
    """Run the verb that the first argument names with the arguments behind it.

    ``help VERB`` is ``VERB --help``. An unknown verb ends with one line that names the nearest, and status 2.
    """
    argv = sys.argv[1:] if argv is None else argv
    verbs = sorted(path.stem for path in BIN.glob("*.py") if path.stem not in ("__init__", "main"))
    while argv[:1] == ["help"]:
        argv = [*argv[1:2], "--help"]
    if not argv or argv[0] in ("-h", "--help"):
        print(overview(verbs))
        return
    if argv[0] == "--version":
        print(__version__)
        return
    verb = argv[0].replace("-", "_")
    if verb not in verbs:
        print(f"svmixer: unknown verb '{argv[0]}'; {nearest(verb, verbs)}", file=sys.stderr)
        raise SystemExit(2)
    # The name that messages of the program start with.
    sys.argv[0] = f"svmixer {verb}"
    try:
        import_module(f"svmixer.bin.{verb}").main(argv[1:])
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


def overview(verbs: list[str]) -> str:
    """Every verb with the first line of its module's description, read without importing it."""
    lines = ["usage: svmixer VERB [--key value ...]     (svmixer help VERB for its options)", ""]
    for verb in verbs:
        text = ast.get_docstring(ast.parse((BIN / f"{verb}.py").read_text(encoding="utf-8"))) or ""
        lines.append(f"  {verb:20} {text.partition(chr(10))[0]}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
