"""Options that several of the verbs for a model have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from svmixer.inference.calibration import STANDARD
from svmixer.inference.embedding_model import DEFAULT_MODEL
from svmixer.limits import not_negative

if TYPE_CHECKING:
    from svmixer.inference.verification import Rule
    from svmixer.scoring.verifier import Verifier


@dataclass(frozen=True)
class ModelOptions:
    """Which model runs, and how."""

    # Recordings; - is standard input; the name of this option may be left out.
    files: tuple[str, ...] = ()
    # Model directory, the name of a model that comes with the package, or hf:USER/NAME on the hub.
    model: str = DEFAULT_MODEL
    # What runs the model; auto: onnx if it is installed, else torch.
    runtime: Literal["auto", "onnx", "torch"] = "auto"
    # Which ONNX file; auto: the one that the export recommends.
    precision: Literal["auto", "float32", "int8"] = "auto"
    # Channel that is taken of recordings with several, from 0; without it their mean.
    channel: int | None = None

    def __post_init__(self) -> None:
        not_negative(self, "channel")

    def verifier(self, store: str | None = None, rule: Rule | None = None) -> Verifier:
        """The model, with the enrolments of a store: a file, or ``""`` for the one of the user.

        Raises:
            SvmixerError: see :class:`svmixer.scoring.verifier.Verifier`.
        """
        from svmixer.scoring.sqlite_store import default_store
        from svmixer.scoring.verifier import Verifier

        path = default_store() if store == "" else store
        return Verifier(self.model, path, rule, self.runtime, self.precision, self.channel)


@dataclass(frozen=True)
class DecisionOptions(ModelOptions):
    """How scores become decisions."""

    # Of a model with a calibration: standard (1 % false accepts), strict (0.1 %) or balanced (equal errors).
    operating_point: str = STANDARD
    # The most false accepts, a share as 0.001 or 0.1%, in place of the operating point.
    max_false_accepts: str = ""
    # Cosine from which on they are of one speaker, in place of the model's calibration.
    threshold: float | None = None
    # File with those who are enrolled by name (svmixer enrol --name); without it the one of the user,
    # $SVMIXER_STORE or ~/.local/share/svmixer/speakers.db.
    store: str = ""
    # true: print a JSON object.
    json: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        # Refused here, as what a command line says, not later.
        _ = self.rule

    @property
    def rule(self) -> Rule:
        """The options as the rule of a verifier."""
        from svmixer.inference.verification import Rule

        return Rule(
            self.operating_point or STANDARD, self.max_false_accepts or None, threshold=self.threshold
        )


@dataclass(frozen=True)
class AnswerOptions(DecisionOptions):
    """How an answer is given."""

    # Probability that they are of one speaker before the recordings were heard.
    prior: float = 0.5
    # true: the exit status tells the decision, for scripts.
    exit_status: bool = False

    @property
    def rule(self) -> Rule:
        """The options as the rule of a verifier."""
        return replace(super().rule, prior=self.prior)
