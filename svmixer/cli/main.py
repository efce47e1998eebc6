"""``svmixer VERB …``: every program of the package by its name, imported when it is called."""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from importlib import import_module

from svmixer import __version__
from svmixer.config import nearest
from svmixer.errors import SvmixerError, UsageError
from svmixer.json_errors import print_error

# What people type, by what they are about: verb → (module and function, what it does).
GROUPS = {
    "use a model": {
        "verify": ("svmixer.cli.verify:main", "Say whether recordings are of one speaker."),
        "identify": ("svmixer.cli.identify:main", "Say who of several enrolled speakers it is."),
        "enrol": ("svmixer.cli.enrol:main", "Enrol speakers by name from their recordings."),
        "speakers": ("svmixer.cli.speakers:main", "List who is enrolled, or delete somebody."),
        "diarize": ("svmixer.cli.diarize:main", "Say who of the enrolled speaks when in a long recording."),
        "embed": ("svmixer.cli.embed:main", "Write speaker embeddings of audio files or of a directory."),
        "similarity": ("svmixer.cli.similarity:main", "Compare recordings, each with each."),
        "convert_embeddings": (
            "svmixer.cli.convert_embeddings:main",
            "Kaldi archives, .npz and folders of .npy into one another.",
        ),
        "demo": ("svmixer.cli.demo:main", "Try a model in the browser, by microphone or files."),
        "info": ("svmixer.cli.info:main", "Say what a model is, or which models there are."),
    },
    "set up": {
        "doctor": ("svmixer.cli.doctor:main", "Check installation and machine, and say what to do."),
        "completion": (
            "svmixer.cli.completion:main",
            "Print a script that completes these words in a shell.",
        ),
    },
    "prepare recordings": {
        "make_data_dir": ("svmixer.cli.data_dir:make", "Make the lists of a folder for each speaker."),
        "validate_data_dir": ("svmixer.cli.data_dir:validate", "Check the lists of a data directory."),
        "fix_data_dir": ("svmixer.cli.data_dir:fix", "Repair the lists of a data directory."),
        "partition_data_dir": ("svmixer.cli.data_dir:partition", "Divide a data directory by speaker."),
        "make_trials": ("svmixer.cli.data_dir:trials", "Make trials for a data directory."),
    },
    "measure": {
        "metrics": ("svmixer.cli.score_metrics:main", "Error rates of anybody's score file."),
        "calibrate_scores": (
            "svmixer.cli.calibrate_scores:main",
            "Make log-likelihood ratios of scores, of several systems together too.",
        ),
        "score_trials": ("svmixer.cli.score_trials:main", "Score a trial list with a model."),
        "complexity": ("svmixer.cli.complexity:main", "Count parameters and MACs of a model."),
        "report": ("svmixer.cli.report:main", "Write the report of an experiment, or compare several."),
        "compare": ("svmixer.cli.experiments:compare", "Compare groups of runs with several seeds each."),
        "tables": ("svmixer.cli.experiments:tables", "List the runs of a table of experiments, or write it."),
    },
    "export and share a model": {
        "export": ("svmixer.cli.export:main", "Write a trained model to hand on, as ONNX too."),
        "calibrate": (
            "svmixer.cli.calibrate:main",
            "Give an export log-likelihood ratios and operating points.",
        ),
        "push": ("svmixer.cli.hub:push", "Send an export to the Hugging Face hub."),
        "pull": ("svmixer.cli.hub:pull", "Fetch an export from the Hugging Face hub."),
        "package_model": ("svmixer.cli.package_model:main", "Copy an export into the package."),
    },
    "start a training from other models": {
        "teacher_embeddings": (
            "svmixer.cli.teacher_embeddings:main",
            "Embed a dump by another system, as targets of a training.",
        ),
        "convert_released": ("svmixer.cli.convert:released", "Read the released PyTorch checkpoints."),
        "convert_redimnet": ("svmixer.cli.convert:redimnet", "Read a released ReDimNet to start from."),
        "convert_espnet": ("svmixer.cli.convert:espnet", "Make a model directory of an ESPnet checkpoint."),
    },
}
VERBS = {verb: entry for group in GROUPS.values() for verb, entry in group.items()}
# What the shell stages call: program → (module and function, what it does).
STAGES = {
    "check_text": ("svmixer.stages.data:check_text", "Stage 1: check that files are UTF-8."),
    "dump": ("svmixer.stages.data:dump", "Stage 2: write a share of a data directory as 16-bit audio."),
    "dump_merge": ("svmixer.stages.data:merge", "Stage 2: join the shares of a dump."),
    "distill": ("svmixer.stages.training:distill", "Stage 3: train the student on its teacher."),
    "train": ("svmixer.stages.training:train", "Stage 4: train student and backend on the speakers."),
    "pretrain": ("svmixer.stages.training:pretrain", "Train a small teacher from nothing."),
    "launch": ("svmixer.distributed.launch:main", "Start a training's processes, and again after a fault."),
    "advice": ("svmixer.stages.advice:main", "Say whether a training is worth it."),
    "expected_time": ("svmixer.stages.expected_time:main", "Say how long a training will take."),
    "check_conditions": ("svmixer.stages.extract:check_conditions", "Stage 5: check channels and bands."),
    "extract": ("svmixer.stages.extract:main", "Stage 5: embed a share of a test set."),
    "cohort": ("svmixer.stages.score:cohort", "Stage 5: choose the cohort of AS-norm."),
    "score": ("svmixer.stages.score:score", "Stage 5: score the trials of a test set."),
    "record_run": ("svmixer.stages.record_run:main", "Write down what a run was started with."),
    "done": ("svmixer.stages.done:main", "Say whether a step is done, or note that it is."),
}
PROGRAMS = {name: place for name, (place, _) in (VERBS | STAGES).items()}
# Modules that the extra [torch] brings, and programs that it is not enough for.
TORCH = (
    "torch", "scipy", "av", "kaldiio", "safetensors", "humanfriendly", "jinja2", "matplotlib", "markdown",
    "plotly",
)  # fmt: skip
TRAINING = ("distill", "expected_time", "export", "launch", "pretrain", "train")
# How often a thread of a training looks whether the others are done before it sleeps.
SPIN_COUNT = "1000"


class PackageError(SvmixerError):
    """A program needs a package that is not installed."""

    kind = "package"


def main(argv: list[str] | None = None) -> None:
    """Run the program that the first argument names with the arguments behind it.

    ``help VERB`` is ``VERB --help``, ``help stages`` lists the programs of the stages. An unknown name ends
    with one line that gives the nearest, and status 2.
    """
    argv = sys.argv[1:] if argv is None else argv
    if argv == ["help", "stages"]:
        print(stages())
        return
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
        error = UsageError(f"unknown verb '{argv[0]}'; {nearest(verb, list(PROGRAMS))}")
        print(f"svmixer: {error}", file=sys.stderr)
        print_error(argv[1:], error, error.status)
        raise SystemExit(error.status)
    # The name that messages of the program start with.
    sys.argv[0] = f"svmixer {verb}"
    try:
        run_program(verb, argv[1:])
        if sys.stdout is not None:  # it may be closed
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads the output has enough of it (| head). Python would complain at its own end, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        if verb in STAGES:
            raise
        # As a program ends that does not know the signal: without a traceback, and a shell's loop ends, too.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)


def run_program(name: str, argv: list[str]) -> None:
    """Run one of ``PROGRAMS``.

    Raises:
        SystemExit: the program was given something that it cannot use, which it says in a line a fault, and
            as an object on standard output where ``argv`` asks for JSON.
    """
    try:
        _call(name, argv)
    except BrokenPipeError:
        raise
    except SvmixerError as error:
        print_error(argv, error, error.status)
        raise failed(str(error), error.status) from None
    except OSError as error:
        print_error(argv, error, status=1, kind="system")
        raise failed(str(error)) from None


def _call(name: str, argv: list[str]) -> None:
    module, _, function = PROGRAMS[name].partition(":")
    if name in TRAINING:
        wait_briefly()
    try:
        getattr(import_module(module), function)(argv)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package == "svmixer":
            raise
        extras = "torch" if package in TORCH and name not in TRAINING else "torch,train"
        raise PackageError(
            f"svmixer {name} needs {error.name}, which is not installed: "
            f"tools/setup.sh, or pip install 'svmixer[{extras}]'"
        ) from None
    except BaseException as error:
        if name in TRAINING:
            _clear_frames(error)
        raise


def _clear_frames(error: BaseException) -> None:
    """Let go of what the frames of an error, and of those that led to it, hold.

    Data workers end with what refers to them. Held by these frames they would outlive the error, and Python
    at its end waits for them for ever: they ignore the signal that it sends.
    """
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__
    gc.collect()


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
    """Every verb and what it does, by groups."""
    lines = ["usage: svmixer VERB [--key value ...]     (svmixer help VERB: its options and an example)"]
    for name, group in GROUPS.items():
        lines += ["", f"{name}:", *_rows(group)]
    return "\n".join([*lines, "", "What run.sh calls: svmixer help stages."])


def stages() -> str:
    """Every program of the stages and what it does."""
    return "\n".join(["what the stages of run.sh call (svmixer help NAME for options):", *_rows(STAGES)])


def _rows(programs: dict[str, tuple[str, str]]) -> list[str]:
    return [f"  {name:20} {about}" for name, (_, about) in programs.items()]
