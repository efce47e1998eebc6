"""Stage 5, first part: embeddings of a dump, one of several parallel jobs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from svmixer.audio.dumpset import RATE, DumpSet
from svmixer.audio.share import job_range
from svmixer.config import parse_args
from svmixer.fileio import md5_file
from svmixer.limits import at_least, not_negative
from svmixer.log import get_logger
from svmixer.scoring.cohort import cohort_indices
from svmixer.scoring.config import ScoringConfig
from svmixer.scoring.utterances import TRANSITION_HZ, AcrossChannels, Side, extract, parse_channels
from svmixer.scoring.vectors import EmbeddingError, job_finished, write_job

logger = get_logger(__name__)

# Systems without a model.
CONTROLS = ("control", "control_whitened")


@dataclass(frozen=True)
class ExtractConfig(ScoringConfig):
    """Options of the extraction of embeddings."""

    # Model directory, or `control`: statistics of log-mel bands without any model, or `control_whitened`: the
    # same with whitening.
    model: str
    # Dumped set, as dump/test.
    data_dir: str
    # Where embeddings.JOB.{ark,scp,json} go.
    output_dir: str
    # Dumped set of other speakers, as dump/train, for a control's mean or whitening; no model reads it.
    train_dir: str = ""
    # Number of jobs that share the set.
    num_jobs: int = 1
    # Which of them this is, from 1.
    job: int = 1
    # true: the set is the cohort of AS-norm, of which cohort_utterances of each speaker are embedded.
    as_cohort: bool = False
    # Filter out everything from this frequency (Hz) on before the system hears it; 0 = no filter.
    lowpass_hz: float = 0.0
    # Of longer utterances take this much from the middle, seconds; 0 = all.
    max_seconds: float = 0.0
    # Families of channels that the two sides of trials come through, ENROL:TEST as amrnb:opus; empty: none.
    channels: str = ""
    # The side that utterances are embedded for; both: about half of them each way, for a cohort.
    side: Literal["enrol", "test", "both"] = "both"
    # 0 = CPU; 1 or more: job k takes GPU (k - 1) modulo the number of those that it can see.
    ngpu: int = 0
    # Extract again even if this job's files are complete and were made with the same settings.
    force: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "num_jobs")
        if not 1 <= self.job <= self.num_jobs:
            raise ValueError(f"job: {self.job} is not among 1 … {self.num_jobs}")
        if self.model in CONTROLS and not self.train_dir:
            raise ValueError("train_dir: the control needs a set of other speakers")
        check_lowpass("lowpass_hz", self.lowpass_hz)
        not_negative(self, "max_seconds", "ngpu")
        if self.channels:
            if self.lowpass_hz:
                raise ValueError("channels: not together with lowpass_hz")
            try:
                parse_channels(self.channels, self.side)
            except ValueError as error:
                raise ValueError(f"channels: {error}") from None

    def across(self, side: Side) -> AcrossChannels | None:
        """The channels that utterances for a side come through, None without any."""
        return parse_channels(self.channels, side) if self.channels else None


@dataclass(frozen=True)
class ConditionsConfig:
    """Options of the check."""

    # Band limits in Hz, separated by blanks.
    lowpass: str = ""
    # Pairs ENROL:TEST of channel families, separated by blanks.
    channels: str = ""

    def __post_init__(self) -> None:
        for limit in self.lowpass.split():
            check_lowpass("lowpass", float(limit))
        self.pairs()

    def pairs(self) -> list[AcrossChannels]:
        """The channels."""
        try:
            return [parse_channels(pair, "both") for pair in self.channels.split()]
        except ValueError as error:
            raise ValueError(f"channels: {error}") from None


def check_conditions(argv: list[str] | None = None) -> None:
    """Refuse band limits and channels that stage 5 could not score, before hours of training."""
    config = parse_args(ConditionsConfig, argv, check_conditions.__doc__)
    for pair in config.pairs():
        pair.prepare()


def check_lowpass(option: str, limit: float) -> None:
    """Refuse a band limit (Hz) that is outside what can be filtered out; 0 is none.

    Raises:
        ValueError: see there.
    """
    if limit and not TRANSITION_HZ < limit < RATE / 2:
        limits = f"between {TRANSITION_HZ:g} and {RATE / 2:g} Hz"
        raise ValueError(f"{option}: a frequency {limits}, or 0, found {limit:g}")


def main(argv: list[str] | None = None) -> None:
    """Command line; a user's mistake ends with one line and status 1."""
    config = parse_args(ExtractConfig, argv, __doc__)
    run(config)


def run(config: ExtractConfig) -> None:
    """Extract this job's share, unless it is there already."""
    settings = _settings(config, _inputs(config))
    if not config.force and job_finished(config.output_dir, config.job, settings):
        logger.info("job %d of %d: complete, nothing to do", config.job, config.num_jobs)
        return
    across = config.across(config.side)
    if across is not None:
        across.prepare()
    model = _load(config)
    dump = DumpSet(config.data_dir)
    chosen = cohort_indices(dump, config.cohort_utterances) if config.as_cohort else range(len(dump))
    share = job_range(len(chosen), config.num_jobs, config.job)
    indices = chosen[share.start : share.stop]
    logger.info("job %d of %d: %d of %d utterances", config.job, config.num_jobs, len(indices), len(dump))
    embed = partial(model.embed_sources, protocol=config.protocol, num_crops=config.num_crops)
    embeddings = extract(embed, dump, indices, config.lowpass_hz, config.max_seconds, across)
    write_job(config.output_dir, config.job, embeddings, settings)


def _load(config: ExtractConfig) -> Any:
    if config.model in CONTROLS:
        return _control(config)
    from svmixer.models.io import load_model

    return load_model(config.model, _device(config))


def _device(config: ExtractConfig) -> str:
    if not config.ngpu:
        return "cpu"
    from svmixer.devices import DeviceError, count_gpus

    try:
        visible = count_gpus(1, "--ngpu 0 embeds on the CPU")
    except DeviceError as error:
        raise EmbeddingError(f"ngpu: {error}") from None
    return f"cuda:{(config.job - 1) % visible}"


def _control(config: ExtractConfig) -> Any:
    from svmixer.scoring.control import LogMelControl, WhitenedControl, fitted_whitening, mean_statistics

    train, across = DumpSet(config.train_dir), config.across("both")
    if config.model == "control":
        return LogMelControl(mean_statistics(train, config.lowpass_hz, across))
    try:
        return WhitenedControl(fitted_whitening(train, config.lowpass_hz, across))
    except ValueError as error:
        raise EmbeddingError(f"{config.train_dir}: {error}") from None


def _inputs(config: ExtractConfig) -> list[Path]:
    """Files that the embeddings depend on."""
    from svmixer.inference.embedding_model import find_directory

    dumps = [config.data_dir, config.train_dir] if config.model in CONTROLS else [config.data_dir]
    files = [Path(dump) / name for dump in dumps for name in ("wav.scp", "utt2num_samples")]
    # Stage 2's marker knows the recordings; lists alone are the same for another one of the same length.
    files += [marker for dump in dumps if (marker := Path(dump) / ".done").is_file()]
    if config.model not in CONTROLS:
        directory = find_directory(config.model, "model")
        files += [directory / name for name in ("config.yaml", "model.safetensors")]
    return files


def _settings(config: ExtractConfig, files: list[Path]) -> dict[str, Any]:
    """What makes two extractions the same, kept beside the embeddings."""
    # Only where there are channels, so that embeddings of earlier versions stay finished.
    across = {"channels": config.channels, "side": config.side} if config.channels else {}
    return {
        "model": config.model,
        "protocol": config.protocol,
        "num_crops": config.num_crops,
        "lowpass_hz": config.lowpass_hz,
        "max_seconds": config.max_seconds,
        "cohort_utterances": config.cohort_utterances if config.as_cohort else 0,
        "num_jobs": config.num_jobs,
        **across,
        "md5": {str(path): md5_file(path) for path in files},
    }
