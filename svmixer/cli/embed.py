"""Speaker embeddings of audio files: svmixer embed FILE... [--model DIR] [--output FILE.npy|.npz|.ark]

Files of any format, rate, length and number of channels. Without --output the embeddings go to standard
output as Kaldi text vectors.

A whole directory: svmixer embed --input_dir DIR --output_dir OUT writes OUT/path/name.npy for every
DIR/path/name.wav (or .flac, .m4a …). What is there is not done again unless its recording has changed, so a
run that was stopped goes on; OUT/failures.tsv lists the files that could not be embedded, and the status is
then 1; OUT/ignored.tsv lists those that are no audio by their names.

    svmixer embed a.wav b.flac --output embeddings.npz
    svmixer embed --input_dir recordings --output_dir embeddings
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from svmixer.config import parse_args
from svmixer.errors import SvmixerError, UsageError
from svmixer.fileio import atomic_write
from svmixer.inference.embedding_model import DEFAULT_MODEL
from svmixer.limits import at_least, not_negative
from svmixer.log import get_logger

if TYPE_CHECKING:
    from svmixer.inference.utterance import Source
    from svmixer.scoring.embedder import Embedder

logger = get_logger(__name__)

FORMATS = (".npy", ".npz", ".ark")


@dataclass(frozen=True)
class EmbedConfig:
    """Options of ``svmixer embed``."""

    # Audio files; - is standard input; the name of this option may be left out.
    files: tuple[str, ...] = ()
    # Model directory, the name of a model that comes with the package, or hf:USER/NAME on the hub.
    model: str = DEFAULT_MODEL
    # .npy: a matrix, one row a file; .npz: one vector a file name; .ark: Kaldi vectors with an .scp; without
    # it they are printed.
    output: str = ""
    # Directory whose audio files are embedded, one .npy each.
    input_dir: str = ""
    # Where they go, under the same relative names.
    output_dir: str = ""
    # With --input_dir: also write embeddings.ark and embeddings.scp.
    kaldi: bool = False
    # whole: every sample, evenly spaced windows; stream: windows one after the other; both of unit length.
    # crops: mean over evenly spaced windows (the paper's evaluation).
    protocol: Literal["whole", "crops", "stream"] = "whole"
    # Windows of the crops protocol.
    num_crops: int = 10
    # Channel that is taken of recordings with several, from 0; without it their mean.
    channel: int | None = None
    # Where the model runs: cpu, cuda, cuda:1 …; PyTorch alone runs elsewhere than on the CPU.
    device: str = "cpu"
    # What runs the model; auto: onnx if the directory has it and it is installed, else torch.
    runtime: Literal["auto", "onnx", "torch"] = "auto"
    # Which ONNX file; auto: the one that the export recommends. PyTorch computes in float32.
    precision: Literal["auto", "float32", "int8"] = "auto"
    # true: print an object that says what was written; without an output it has the embeddings.
    json: bool = False

    def __post_init__(self) -> None:
        at_least(self, 1, "num_crops")
        not_negative(self, "channel")
        if self.output and Path(self.output).suffix not in FORMATS:
            raise ValueError(f"output: '{self.output}' ends with none of {', '.join(FORMATS)}")
        if bool(self.input_dir) != bool(self.output_dir):
            raise ValueError("input_dir, output_dir: one needs the other")
        if self.input_dir and self.output:
            raise ValueError("output: not read beside input_dir, whose results go to output_dir")
        if self.kaldi and not self.input_dir:
            raise ValueError("kaldi: read beside input_dir alone; for single files name an --output FILE.ark")


def main(argv: list[str] | None = None) -> None:
    """Embed the files; if any cannot be read, each is named, nothing is written and the status is 1."""
    config = parse_args(EmbedConfig, argv, __doc__)
    if config.files and config.input_dir:
        raise UsageError(f"'{config.files[0]}': audio files or an --input_dir, not both")
    if not config.files and not config.input_dir:
        raise UsageError("no audio file given: svmixer embed FILE...")
    if config.input_dir:
        done = embed_tree(config)
        if config.json:
            print(json.dumps({"model": config.model, "output_dir": config.output_dir, **done}))
        return
    kaldi = config.output.endswith(".ark") if config.output else not config.json
    spaced = [name for name in config.files if kaldi and any(map(str.isspace, name))]
    if spaced:
        raise SvmixerError(
            f"'{spaced[0]}': a key of a Kaldi file has no spaces, and Kaldi's form is what is printed; "
            "choose --output FILE.npz"
        )
    embeddings = embed_files(config)
    if config.output or not config.json:
        write(embeddings, config.output)
    if config.json:
        print(json.dumps(as_object(config, embeddings)))


def as_object(config: EmbedConfig, embeddings: list[tuple[str, np.ndarray]]) -> dict[str, Any]:
    """What ``--json`` prints of single files."""
    about = {"model": config.model, "size": len(embeddings[0][1])}
    if config.output:
        return {**about, "output": config.output, "recordings": [{"name": name} for name, _ in embeddings]}
    rows = [{"name": name, "embedding": vector.tolist()} for name, vector in embeddings]
    return {**about, "recordings": rows}


def embed_files(config: EmbedConfig) -> list[tuple[str, np.ndarray]]:
    """(file name, embedding ``float32 (D,)``) of each file, in the order given.

    Raises:
        ConfigError, ModelError: the model cannot be loaded.
        ValueError: files that cannot be read, one line each.
    """
    from svmixer.scoring.directories import readable
    from svmixer.scoring.embedder import load_embedder

    embedder = load_embedder(config.model, config.runtime, config.precision, config.device)
    failures: dict[str, str] = {}
    open_source = partial(open_recording, embedder, config.channel)
    sources = readable({name: name for name in config.files}, open_source, failures)
    embeddings = dict(embedder.model.embed_sources(sources, config.protocol, config.num_crops))
    if failures:
        # Errors of reading name the file themselves.
        lines = (why if why.startswith(name) else f"{name}: {why}" for name, why in failures.items())
        raise SvmixerError("\n".join(lines))
    return [(name, embeddings[name]) for name in config.files]


def open_recording(embedder: Embedder, channel: int | None, name: str, path: str | Path) -> Source:
    """A recording as an utterance; that it has no speech is a warning once it has been read.

    Raises:
        AudioError: see :meth:`svmixer.scoring.embedder.Embedder.open_source`.
    """
    from svmixer.audio.speech import NO_SPEECH, SpeechMeter

    source = embedder.open_source(name, path, channel)
    meter = SpeechMeter(embedder.model.sample_rate)

    def finish() -> None:
        source.finish()
        if meter.share() == 0.0:
            logger.warning("%s: no speech: %s", path, NO_SPEECH)

    return replace(source, read=meter.reading(source.read), finish=finish)


def embed_tree(config: EmbedConfig) -> dict[str, int]:
    """Embed ``input_dir`` into ``output_dir``; files that fail are counted in the error at the end.

    Returns:
        Files ``written`` now, ``found`` embedded already, and ``ignored``.

    Raises:
        ConfigError, ModelError: the model cannot be loaded.
        DirectoryError: see :mod:`svmixer.scoring.directories`; or files that could not be embedded.
    """
    from svmixer.fileio import md5_file
    from svmixer.scoring.directories import (
        FAILURES,
        DirectoryError,
        check_keys,
        embed_directory,
        find_audio,
        write_kaldi,
    )
    from svmixer.scoring.embedder import load_embedder

    output = Path(config.output_dir)
    found = find_audio(Path(config.input_dir), output)
    if config.kaldi:
        check_keys(found.files)
    embedder = load_embedder(config.model, config.runtime, config.precision, config.device)
    digest = md5_file(embedder.weights)
    settings = {"protocol": config.protocol, "num_crops": config.num_crops, "model_md5": digest}
    if config.channel is not None:
        settings["channel"] = config.channel

    embed = partial(embedder.model.embed_sources, protocol=config.protocol, num_crops=config.num_crops)
    open_source = partial(open_recording, embedder, config.channel)
    outcome = embed_directory(found, output, open_source, embed, settings)
    if config.kaldi:
        names = [name for name, path in found.files.items() if str(path) not in outcome.failures]
        write_kaldi(names, output)
    if outcome.failures:
        total = len(found.files) + len(found.unreadable)
        raise DirectoryError(
            f"{len(outcome.failures)} of {total} files could not be embedded: {output / FAILURES}"
        )
    return {"written": outcome.written, "found": outcome.found, "ignored": len(found.ignored)}


def write(embeddings: list[tuple[str, np.ndarray]], output: str) -> None:
    """Store the embeddings in the format of the file's ending, or print them.

    Where they go by their names, what was given twice is stored once.
    """
    from svmixer.scoring.interchange import write_archive, write_npz

    kind = Path(output).suffix if output else ""
    if kind in (".npz", ".ark") and len(dict(embeddings)) < len(embeddings):
        logger.warning("%s: files that were given more than once are stored once", output)
    if kind == ".npy":
        with atomic_write(output, "wb") as stream:
            np.save(stream, np.stack([vector for _, vector in embeddings]))
    elif kind == ".npz":
        write_npz(output, dict(embeddings).items())
    elif kind == ".ark":
        write_archive(output, dict(embeddings).items())
    else:
        for name, vector in embeddings:
            print(f"{name}  [ {' '.join(f'{value:.7g}' for value in vector)} ]")
