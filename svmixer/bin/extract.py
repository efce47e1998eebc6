"""Stage 5, first part: embeddings of a dump, one of several parallel jobs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from svmixer.audio import AudioError
from svmixer.audio.dumpset import DumpSet
from svmixer.config import ConfigError, parse_args
from svmixer.fileio import md5_file
from svmixer.lists import ListError
from svmixer.log import fail, get_logger
from svmixer.score.embeddings import EmbeddingError, job_finished, write_job
from svmixer.score.extract import extract, job_indices

logger = get_logger(__name__)

# Systems without a model.
CONTROLS = ("control", "control_whitened")


@dataclass(frozen=True)
class ExtractConfig:
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
    # crops: evenly spaced windows of 3 s, scored by the mean cosine of all pairs (the paper); whole: every
    # sample.
    protocol: Literal["crops", "whole"] = "crops"
    # Windows of the crops protocol.
    num_crops: int = 10
    # Filter out everything from this frequency (Hz) on before the system hears it; 0 = no filter.
    lowpass_hz: float = 0.0
    # 0 = CPU; 1 or more: job k takes GPU (k - 1) modulo the number of those that it can see.
    ngpu: int = 0
    # Extract again even if this job's files are complete and were made with the same settings.
    force: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.job <= self.num_jobs:
            raise ValueError(f"job: {self.job} is not among 1 … {self.num_jobs}")
        if self.model in CONTROLS and not self.train_dir:
            raise ValueError("train_dir: the control needs a set of other speakers")
        if self.num_crops < 1:
            raise ValueError(f"num_crops: at least 1, found {self.num_crops}")
        if self.lowpass_hz < 0:
            raise ValueError(f"lowpass_hz: a frequency or 0, found {self.lowpass_hz}")


def main(argv: list[str] | None = None) -> None:
    """Command line; a user's mistake ends with one line and status 1."""
    config = parse_args(ExtractConfig, argv, __doc__)
    try:
        run(config)
    except (AudioError, ConfigError, EmbeddingError, ListError, OSError) as error:
        raise fail(str(error)) from None


def run(config: ExtractConfig) -> None:
    """Extract this job's share, unless it is there already."""
    from svmixer.models.embedding import utterance_embedding
    from svmixer.models.io import ModelError

    try:
        files = _inputs(config)
        settings = _settings(config, files)
        if not config.force and job_finished(config.output_dir, config.job, settings):
            logger.info("job %d of %d: complete, nothing to do", config.job, config.num_jobs)
            return
        model = _load(config)
    except ModelError as error:
        raise EmbeddingError(str(error)) from None
    dump = DumpSet(config.data_dir)
    indices = job_indices(len(dump), config.job, config.num_jobs)
    logger.info("job %d of %d: %d of %d utterances", config.job, config.num_jobs, len(indices), len(dump))
    embed = partial(utterance_embedding, model, protocol=config.protocol, num_crops=config.num_crops)
    write_job(config.output_dir, config.job, extract(embed, dump, indices, config.lowpass_hz), settings)


def _load(config: ExtractConfig) -> Any:
    if config.model in CONTROLS:
        return _control(config)
    from svmixer.models.io import load_model

    return load_model(config.model, _device(config))


def _device(config: ExtractConfig) -> str:
    if not config.ngpu:
        return "cpu"
    import torch

    # Dispatchers show a job the GPUs that it was given and no others.
    visible = torch.cuda.device_count()
    if not visible:
        raise EmbeddingError("ngpu: no GPU can be used here; give --ngpu 0 to embed on the CPU")
    return f"cuda:{(config.job - 1) % visible}"


def _control(config: ExtractConfig) -> Any:
    from svmixer.score.control import LogMelControl, WhitenedControl, fitted_whitening, mean_statistics

    train = DumpSet(config.train_dir)
    if config.model == "control":
        return LogMelControl(mean_statistics(train, config.lowpass_hz))
    try:
        return WhitenedControl(fitted_whitening(train, config.lowpass_hz))
    except ValueError as error:
        raise EmbeddingError(f"{config.train_dir}: {error}") from None


def _inputs(config: ExtractConfig) -> list[Path]:
    """Files that the embeddings depend on."""
    from svmixer.models.io import find_directory

    dumps = [config.data_dir, config.train_dir] if config.model in CONTROLS else [config.data_dir]
    files = [Path(dump) / name for dump in dumps for name in ("wav.scp", "utt2num_samples")]
    if config.model not in CONTROLS:
        directory = find_directory(config.model, "model")
        files += [directory / name for name in ("config.yaml", "model.safetensors")]
    return files


def _settings(config: ExtractConfig, files: list[Path]) -> dict[str, Any]:
    """What makes two extractions the same, kept beside the embeddings."""
    return {
        "model": config.model,
        "protocol": config.protocol,
        "num_crops": config.num_crops,
        "lowpass_hz": config.lowpass_hz,
        "num_jobs": config.num_jobs,
        "md5": {str(path): md5_file(path) for path in files},
    }


if __name__ == "__main__":
    main()
