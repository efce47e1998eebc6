"""Our models in all forms, and what else people use, on a CPU: milliseconds from audio to embedding.

SpeechBrain's and ESPnet's models are built in the sizes of their releases with random weights, which cost the
same; Resemblyzer comes with its own. All systems run in turn in one process a number of threads. The packages
are not among the project's: ``benchmarks/run.sh`` makes an environment from benchmarks/requirements.txt.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from apart import apart, threads
from measure import Result, Timing, command_line, paired, write_result
from systems import open_model

from svmixer.audio.dumpset import RATE
from svmixer.config import ConfigError, parse_args

if TYPE_CHECKING:
    from torch import Tensor, nn

Embed = Callable[[np.ndarray], np.ndarray]

# Front end and encoder of ESPnet with the options of its VoxCeleb recipes, pooling and projector.
_MEL = {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 80, "log": True, "normalize": "mn"}
_TDNN = {"ndim": 1024, "output_size": 1536, "model_scale": 8}
_CONFORMER = {
    "output_size": 512, "attention_heads": 8, "linear_units": 2048, "num_blocks": 6, "macaron_style": True,
    "rel_pos_type": "latest", "cnn_module_kernel": 15, "input_layer": "conv2d2",
}  # fmt: skip
ESPNET: dict[str, tuple[str, dict[str, Any], str, dict[str, Any], str, str]] = {
    "espnet_ecapa": ("melspec", _MEL, "espnet_ecapa", _TDNN, "chn_attn_stat", "rawnet3"),
    "espnet_rawnet3": ("asteroid", {}, "espnet_rawnet3", _TDNN, "chn_attn_stat", "rawnet3"),
    "espnet_mfaconformer": ("melspec", _MEL, "espnet_mfaconformer", _CONFORMER, "chn_attn_stat", "rawnet3"),
    "espnet_ska_tdnn": (
        "melspec", _MEL, "espnet_ska_tdnn", {**_TDNN, "ska_dim": 128}, "chn_attn_stat", "ska_tdnn",
    ),
    "espnet_xvector": ("melspec", _MEL, "espnet_xvector", {}, "stats", "xvector"),
}  # fmt: skip
_FRONTENDS = {
    "melspec": ("melspec_torch", "MelSpectrogramTorch"),
    "asteroid": ("asteroid_frontend", "AsteroidFrontend"),
}


@dataclass(frozen=True)
class PeersConfig:
    """Options of the script."""

    # Our systems: a student of conf/student and a backend of conf/backend, or a model that comes with the
    # package.
    systems: tuple[str, ...] = ("svmixer_small+ecapa", "pocket")
    # Others: speechbrain_ecapa, resemblyzer, espnet_ecapa, espnet_rawnet3, espnet_mfaconformer,
    # espnet_ska_tdnn, espnet_xvector.
    peers: tuple[str, ...] = (
        "speechbrain_ecapa", "resemblyzer", "espnet_ecapa", "espnet_rawnet3", "espnet_mfaconformer",
        "espnet_xvector",
    )  # fmt: skip
    # Lengths of the audio in seconds.
    seconds: tuple[float, ...] = (3.0,)
    # Numbers of threads.
    threads: tuple[int, ...] = (1, 2)
    # Rounds that are counted.
    rounds: int = 5
    # Rows and columns of the square matrices whose fastest product is the peak.
    sizes: tuple[int, ...] = (1024, 2048)
    # true: our smallest system beside the small peers, 3 s, two rounds.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"

    def __post_init__(self) -> None:
        known = ["speechbrain_ecapa", "resemblyzer", *ESPNET]
        for name in self.peers:
            if name not in known:
                raise ValueError(f"peers: '{name}' is not one of {', '.join(known)}")


def speechbrain_ecapa() -> tuple[Embed, nn.Module]:
    """SpeechBrain's ECAPA-TDNN as released: 80 mel bands, 1024 channels, 192 numbers."""
    import torch
    from speechbrain.lobes.features import Fbank
    from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
    from speechbrain.processing.features import InputNormalization

    features = Fbank(n_mels=80)
    normalise = InputNormalization(norm_type="sentence", std_norm=False)
    model = ECAPA_TDNN(80, lin_neurons=192, channels=[1024, 1024, 1024, 1024, 3072]).eval()

    def embed(wave: np.ndarray) -> np.ndarray:
        frames = features(torch.from_numpy(wave)[None])
        return model(normalise(frames, torch.ones(1)))[0, 0].numpy()

    return embed, model


def resemblyzer() -> tuple[Embed, nn.Module]:
    """Resemblyzer's encoder on all of the audio: its trimming of silence is left out."""
    from resemblyzer import VoiceEncoder

    encoder = VoiceEncoder("cpu", verbose=False)
    return encoder.embed_utterance, encoder.eval()


def espnet(name: str) -> tuple[Embed, nn.Module]:
    """One of ESPnet's speaker models, put together as its speaker task does."""
    import torch
    from torch import nn

    from svmixer.models.backends.espnet import ENCODERS, POOLINGS, PROJECTORS

    def part(package: str, module: str, name: str) -> Any:
        return getattr(importlib.import_module(f"espnet2.{package}.{module}"), name)

    front, front_options, encoder_name, options, pooling_name, projector_name = ESPNET[name]
    kind = ENCODERS[encoder_name]
    frontend = part("asr.frontend", *_FRONTENDS[front])(**front_options)
    encoder = part("spk.encoder", kind.module, kind.name)(frontend.output_size(), **options)
    pooling = part("spk", *POOLINGS[pooling_name])(encoder.output_size())
    projector = part("spk", *PROJECTORS[projector_name])(pooling.output_size(), 192)
    model = nn.ModuleList([frontend, encoder, pooling, projector]).eval()

    def embed(wave: np.ndarray) -> np.ndarray:
        batch: Tensor = torch.from_numpy(wave)[None]
        frames, _ = frontend(batch, torch.tensor([batch.shape[1]]))
        return projector(pooling(encoder(frames)))[0].numpy()

    return embed, model


def open_peer(name: str) -> tuple[Embed, nn.Module]:
    """(waveform ``(N,)`` → embedding ``(D,)``, the modules with its parameters).

    Raises:
        ConfigError: its package is not installed.
    """
    try:
        if name in ESPNET:
            return espnet(name)
        return {"speechbrain_ecapa": speechbrain_ecapa, "resemblyzer": resemblyzer}[name]()
    except ModuleNotFoundError as error:
        raise ConfigError(f"{name}: {error}; benchmarks/run.sh makes an environment that has it") from None


def times(
    folder: str, systems: list[str], peers: list[str], seconds: list[float], rounds: int, sizes: list[int]
) -> dict[str, Any]:
    """``systems``: parameters, size of the embedding, seconds of every round by length; ``peak``.

    Args:
        folder: for graphs.
        systems, peers, seconds, rounds, sizes: see :class:`PeersConfig`.
    """
    import torch
    from forms import forms_of, layer_macs
    from peak import products

    torch.manual_seed(0)
    found: dict[str, dict[str, Any]] = {}
    embeds: dict[str, Embed] = {}
    for name in systems:
        model = open_model("" if "+" in name else name, name)
        about = {"of": name, "params": parameters(model), "macs": layer_macs(model)}
        for form, (embed, kind) in forms_of(name, model, Path(folder) / name).items():
            embeds[f"{name}, {form}"] = embed
            found[f"{name}, {form}"] = {**about, "kind": kind}
    for name in peers:
        embeds[name], module = open_peer(name)
        found[name] = {"params": parameters(module)}
    # Of one thread what else runs on the machine can be left out.
    clock = time.process_time if threads() == 1 else time.perf_counter
    rng = np.random.default_rng(0)
    peak: dict[str, list[float]] = {}
    with torch.inference_mode():
        for length in seconds:
            wave = (0.1 * rng.standard_normal(round(length * RATE))).astype(np.float32)
            calls: dict[str, Callable[[], object]] = {
                name: (lambda embed=embed, wave=wave: embed(wave)) for name, embed in embeds.items()
            }
            if length == seconds[0]:
                for size in sizes:
                    for kind, call in products(size, Path(folder)).items():
                        calls[f"mm {kind} {size}"] = call
            for name, timing in paired(calls, rounds, warm_up=1, clock=clock).items():
                if name.startswith("mm "):
                    peak[name] = list(timing.seconds)
                else:
                    found[name]["embedding"] = len(embeds[name](wave))
                    found[name][f"{length:g}"] = list(timing.seconds)
    return {"systems": found, "peak": peak}


def parameters(module: nn.Module) -> int:
    """Numbers in the parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def ratios(name: str, found: dict[str, Any], length: str) -> list[str]:
    """How many times faster a form is than the first of its system, and its share of the peak.

    The peak is the fastest product of large matrices in the form's own number format. Empty for peers.
    """
    figures = found["systems"][name]
    if "macs" not in figures:
        return ["", ""]
    first = next(other for other in found["systems"].values() if other.get("of") == figures["of"])
    ours = Timing(tuple(figures[length]))
    shares = []
    for product, rounds in found["peak"].items():
        _, kind, size = product.split()
        if kind == figures["kind"]:
            shares.append(Timing(tuple(rounds)).over(ours) * figures["macs"] / int(size) ** 3)
    return [f"{Timing(tuple(first[length])).over(ours):.2f}", f"{min(shares):.0%}"]


def result(timed: dict[int, dict[str, Any]], config: PeersConfig) -> Result:
    """The table; ``timed`` has what :func:`times` found for each number of threads."""
    header, lengths = ["system", "parameters", "embedding"], [f"{seconds:g}" for seconds in config.seconds]
    for length in lengths:
        header += [f"ms of {length} s, {number} thread{'s' * (number > 1)}" for number in timed]
    header += ["times faster", "of the peak"]
    first = next(iter(timed.values()))
    rows = []
    for name, figures in first["systems"].items():
        row = [name, f"{figures['params']:,}", figures["embedding"]]
        for length in lengths:
            row += [Timing(tuple(found["systems"][name][length])).milliseconds() for found in timed.values()]
        rows.append([*row, *ratios(name, first, lengths[0])])
    notes = [
        "From samples to embedding, float32 but for int8; median and quartiles of rounds in which all "
        "systems take turns. Of longer audio SV-Mixer computes windows of 3 s, Resemblyzer pieces of 1.6 s, "
        "the others all at once. All weights but those of Resemblyzer and of `pocket` are random: this table "
        f"says nothing about accuracy. The last two columns are of {lengths[0]} s, threads: "
        f"{next(iter(timed))}, medians of the rounds' ratios: times faster than the first form, and share "
        "of the fastest large product of the same number format (GMACs of Linear and Conv layers). On one "
        "thread times are processor time."
    ]
    figures = {"threads": {str(number): found for number, found in timed.items()}}
    return Result(
        "peers", "Beside other toolkits", command_line(), header, rows,
        "lrr" + "r" * (len(header) - 3), figures, notes,
    )  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    config = parse_args(PeersConfig, argv, __doc__)
    if config.quick:
        small = tuple(name for name in config.peers if name in ("resemblyzer", "espnet_xvector"))
        config = replace(
            config,
            rounds=2,
            systems=config.systems[-1:],
            peers=small,
            seconds=config.seconds[:1],
            sizes=(128, 256),
        )
    with tempfile.TemporaryDirectory() as folder:
        options = {name: getattr(config, name) for name in ("systems", "peers", "seconds", "rounds", "sizes")}
        timed = {number: apart(times, number, folder=folder, **options) for number in config.threads}
    print(write_result(result(timed, config), config.output))


if __name__ == "__main__":
    main()
