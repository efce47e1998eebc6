"""``svmixer VERB …``: every program of the package by its name, imported when it is called."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from svmixer import __version__
from svmixer.config import nearest
from svmixer.errors import SvmixerError

# What people type: verb → (module and function, what it does).
VERBS = {
    "verify": ("svmixer.cli.verify:main", "Say whether recordings are of one speaker."),
    "identify": ("svmixer.cli.identify:main", "Say who of several enrolled speakers it is."),
    "enrol": ("svmixer.cli.enrol:main", "Enrol speakers by name from their recordings."),
    "diarize": ("svmixer.cli.diarize:main", "Say who of the enrolled speaks when in a long recording."),
    "speakers": ("svmixer.cli.speakers:main", "List who is enrolled, or delete somebody."),
    "embed": ("svmixer.cli.embed:main", "Write speaker embeddings of audio files or of a directory."),
    "demo": ("svmixer.cli.demo:main", "Try a model in the browser, by microphone or files."),
    "make_data_dir": ("svmixer.cli.data_dir:make", "Make the lists of a folder for each speaker."),
    "validate_data_dir": ("svmixer.cli.data_dir:validate", "Check the lists of a data directory."),
    "fix_data_dir": ("svmixer.cli.data_dir:fix", "Repair the lists of a data directory."),
    "partition_data_dir": ("svmixer.cli.data_dir:partition", "Divide a data directory by speaker."),
    "make_trials": ("svmixer.cli.data_dir:trials", "Make trials for a data directory."),
    "calibrate": ("svmixer.cli.calibrate:main", "Give an export log-likelihood ratios and operating points."),
    "metrics": ("svmixer.cli.score_metrics:main", "Error rates of anybody's score file."),
    "score_trials": ("svmixer.cli.score_trials:main", "Score a trial list with a model."),
    "complexity": ("svmixer.cli.complexity:main", "Count parameters and MACs of a model."),
    "report": ("svmixer.cli.report:main", "Write the report of an experiment, or compare several."),
    "compare": ("svmixer.cli.experiments:compare", "Compare groups of runs with several seeds each."),
    "tables": ("svmixer.cli.experiments:tables", "List the runs of a table of experiments, or write it."),
    "teacher_embeddings": (
        "svmixer.cli.teacher_embeddings:main",
        "Embed a dump by another system, as targets of a training.",
    ),
    "export": ("svmixer.cli.export:main", "Write a trained model to hand on, as ONNX too."),
    "convert_released": ("svmixer.cli.convert:released", "Read the released PyTorch checkpoints."),
    "convert_redimnet": ("svmixer.cli.convert:redimnet", "Read a released ReDimNet to start from."),
    "convert_espnet": ("svmixer.cli.convert:espnet", "Make a model directory of an ESPnet checkpoint."),
    "package_model": ("svmixer.cli.package_model:main", "Copy an export into the package."),
}
# What the shell stages call: program → module and function.
STAGES = {
    "check_conditions": "svmixer.stages.extract:check_conditions",
    "check_text": "svmixer.stages.data:check_text",
    "done": "svmixer.stages.done:main",
    "dump": "svmixer.stages.data:dump",
    "dump_merge": "svmixer.stages.data:merge",
    "launch": "svmixer.distributed.launch:main",
    "distill": "svmixer.stages.training:distill",
    "train": "svmixer.stages.training:train",
    "pretrain": "svmixer.stages.training:pretrain",
    "advice": "svmixer.stages.advice:main",
    "expected_time": "svmixer.stages.expected_time:main",
    "extract": "svmixer.stages.extract:main",
    "cohort": "svmixer.stages.score:cohort",
    "score": "svmixer.stages.score:score",
    "record_run": "svmixer.stages.record_run:main",
}
PROGRAMS = {verb: place for verb, (place, _) in VERBS.items()} | STAGES
# Modules that the extra [torch] brings, and programs that it is not enough for.
TORCH = (
    "torch", "scipy", "av", "kaldiio", "safetensors", "humanfriendly", "jinja2", "matplotlib", "markdown",
    "plotly",
)  # fmt: skip
# How often a thread of a training looks whether the others are done before it sleeps.
SPIN_COUNT = "1000"
TRAINING = ("distill", "expected_time", "export", "launch", "pretrain", "train")


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
        run_program(verb, argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads the output has enough of it (| head). Python would complain at its own end, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def run_program(name: str, argv: list[str]) -> None:
    """Run one of ``PROGRAMS``.

    Raises:
        SystemExit: the program was given something that it cannot use, which it says in a line a fault.
    """
    module, _, function = PROGRAMS[name].partition(":")
    if name in TRAINING:
        wait_briefly()
    try:
        getattr(import_module(module), function)(argv)
    except BrokenPipeError:
        raise
    except SvmixerError as error:
        raise failed(str(error), error.status) from None
    except OSError as error:
        raise failed(str(error)) from None
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package == "svmixer":
            raise
        extras = "torch" if package in TORCH and name not in TRAINING else "torch,train"
        raise failed(
            f"svmixer {name} needs {error.name}, which is not installed: "
            f"tools/setup.sh, or pip install 'svmixer[{extras}]'"
        ) from None


def wait_briefly() -> None:
    """Let OpenMP's threads sleep soon where they wait for one another, unless the user says how they wait.

    Without a limit they spin for milliseconds at every operation. Beside a busy process of somebody else that
    takes the processor from the very thread they wait for (docs/training_speed.md). GNU's library reads the
    variable when PyTorch loads it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def failed(message: str, status: int = 1) -> SystemExit:
    """The message on standard error, and what ends the program."""
    print("\n".join(f"error: {line}" for line in message.splitlines()), file=sys.stderr)
    return SystemExit(status)


def overview() -> str:
    """Every verb and what it does."""
    return "\n".join([
        "usage: svmixer VERB [--key value ...]     (svmixer help VERB for its options)",
        "",
        *(f"  {verb:20} {about}" for verb, (_, about) in VERBS.items()),
        "",
        f"Programs of the stages: {', '.join(STAGES)}.",
    ])  # fmt: skip
