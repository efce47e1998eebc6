"""Every entry point for audio refuses the same things in the same words."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

import svmixer
from svmixer.audio import AudioError
from svmixer.audio.dump import DumpConfig, dump_job
from svmixer.cli.main import main
from svmixer.runtime import load_onnx

RATE = 16000
SPEECH = (
    0.1
    * np.random.default_rng(0).standard_normal(RATE)
    * (1 + np.sin(2 * np.pi * 4 * np.arange(RATE) / RATE))
).astype(np.float32)

# Kind → samples (N,) or (N, channels), and what every entry point says of them.
KINDS = {
    "silence": (np.zeros(8000, np.float32), "all-zero: 0.50 s of digital silence"),
    "opposite phase": (np.stack([SPEECH, -SPEECH], axis=1), "all-zero: the mean of the 2 channels is silent"),
    "not a number": (np.where(np.arange(RATE) == 7, np.nan, SPEECH), "non-finite: 1 of 16000 samples"),
    "infinite": (np.where(np.arange(RATE) == 7, -np.inf, SPEECH), "non-finite: 1 of 16000 samples"),
    "huge": (np.where(np.arange(RATE) == 7, 3e38, SPEECH), "over full scale: samples of up to 3e+38"),
    "integers": (32768 * SPEECH / np.abs(SPEECH).max(), "over full scale: samples of up to 32768"),
    "too short": (SPEECH[:3200], "too short: 0.2 s, less than 0.3 s"),
    "empty": (SPEECH[:0], "empty: no samples"),
}  # fmt: skip


def dump(path: Path, tmp_path: Path) -> str:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/wav.scp").write_text(f"u {path}\n")
    dump_job(DumpConfig(str(tmp_path / "data"), str(tmp_path / "dump")))
    _, *rows = (tmp_path / "dump/data/dropped.1.tsv").read_text().splitlines()
    assert len(rows) == 1 and (tmp_path / "dump/data/wav.1.scp").read_text() == ""
    return rows[0].split("\t")[1]


def command(capsys, *words: object) -> str:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert stop.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "entry", ["dump", "embed", "embed directory", "verify", "enrol", "onnx file", "torch file"]
)
def test_audio_checks_for_files(kind, entry, tmp_path, capsys):
    wave, expected = KINDS[kind]
    (tmp_path / "in").mkdir()
    bad, good = tmp_path / "in/bad.wav", tmp_path / "good.wav"
    soundfile.write(bad, wave, RATE, subtype="FLOAT")
    soundfile.write(good, SPEECH, RATE)
    if entry == "dump":
        assert dump(bad, tmp_path).startswith(expected)
    elif entry in ("onnx file", "torch file"):
        model = load_onnx("pocket") if entry == "onnx file" else svmixer.load_model("pocket")
        with pytest.raises(AudioError) as caught:
            model.embed(bad)
        assert str(caught.value).startswith(f"{bad}: {expected}")
    elif entry == "embed directory":
        out = tmp_path / "out"
        command(capsys, "embed", "--input_dir", bad.parent, "--output_dir", out, "--model", "pocket")
        assert (out / "failures.tsv").read_text().startswith(f"{bad}\t{bad}: {expected}")
        assert not list(out.rglob("*.npy"))
    else:
        words = {
            "embed": ["embed", good, bad, "--output", tmp_path / "e.npy"],
            "verify": ["verify", good, bad],
            "enrol": ["enrol", good, bad, "--output", tmp_path / "e.npy"],
        }[entry]
        assert f"error: {bad}: {expected}" in command(capsys, *words, "--model", "pocket")
        assert not (tmp_path / "e.npy").exists()


@pytest.fixture(scope="module", params=["onnx", "torch"])
def model(request):
    return load_onnx("pocket") if request.param == "onnx" else svmixer.load_model("pocket")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("entry", ["embed", "stream"])
def test_audio_checks_for_arrays(kind, entry, model):
    wave, expected = KINDS[kind]
    with pytest.raises(AudioError) as caught:
        if entry == "embed":
            model.embed(wave, RATE)
        else:
            stream = model.stream(RATE)
            stream.push(wave)
            stream.embedding()
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("entry", ["embed", "stream"])
@pytest.mark.parametrize(
    ("wave", "rate", "expected"),
    [
        (SPEECH, 0, "bad rate: sampling rate 0"),
        (SPEECH, 44100.5, "bad rate: "),
        (SPEECH, float("nan"), "bad rate: "),
        (np.zeros((16, 8000)), RATE, "bad shape: expected (N,), (channels, N) or (N, channels)"),
        (np.zeros((2, 1, 8000)), RATE, "bad shape: "),
        (np.arange(8000), RATE, "bad type: expected floats in -1…1 or integers of 8, 16"),
        (["a.wav"], RATE, "bad type: "),
    ],
)
def test_arrays_that_say_nothing(entry, wave, rate, expected, model):
    with pytest.raises(AudioError) as caught:
        if entry == "embed":
            model.embed(wave, rate)
        else:
            model.stream(rate).push(wave)
    assert str(caught.value).startswith(expected)


def test_forms_of_the_same_audio(model):
    """What soundfile, torchaudio and wave files in integers give is the same to every entry point."""
    pcm = np.round(32767 * SPEECH).astype(np.int16)
    expected = model.embed(pcm / 32768, RATE)
    bytes_of_8_bits = np.round(128 + 127 * SPEECH).astype(np.uint8)
    forms = {
        "int16": pcm,
        "int32": pcm.astype(np.int32) << 16,
        "(1, N)": pcm[None],
        "(N, 1)": pcm[:, None],
        "(2, N)": np.stack([pcm, pcm]),
        "(N, 2)": np.stack([pcm, pcm], axis=1),
        "float64": pcm / 32768,
        "list": (pcm / 32768).tolist(),
    }
    for name, wave in forms.items():
        np.testing.assert_allclose(model.embed(wave, RATE), expected, atol=1e-6, err_msg=name)
        stream = model.stream(RATE)
        stream.push(wave)
        np.testing.assert_allclose(
            stream.embedding(), model.embed(wave, RATE, "stream"), atol=1e-5, err_msg=name
        )
    # Rounding to 8 bits is the only difference.
    exact = (bytes_of_8_bits.astype(np.float64) - 128) / 128
    np.testing.assert_allclose(model.embed(bytes_of_8_bits, RATE), model.embed(exact, RATE), atol=1e-6)


def test_channels(model, tmp_path, caplog):
    other = np.roll(SPEECH[::-1], 900).copy()
    both = np.stack([SPEECH, other], axis=1)
    soundfile.write(tmp_path / "both.wav", both, RATE, subtype="FLOAT")
    for channel, wave in enumerate((SPEECH, other)):
        expected = model.embed(wave, RATE)
        np.testing.assert_allclose(model.embed(both, RATE, channel=channel), expected, atol=1e-6)
        np.testing.assert_allclose(model.embed(tmp_path / "both.wav", channel=channel), expected, atol=1e-6)
        stream = model.stream(RATE, channel=channel)
        stream.push(both)
        np.testing.assert_allclose(stream.embedding(), expected, atol=1e-5)
    with pytest.raises(AudioError, match=r"both\.wav: no such channel: channel 2 .* 2 channels"):
        model.embed(tmp_path / "both.wav", channel=2)
    logging.getLogger("svmixer").addHandler(caplog.handler)
    mixed = model.embed(tmp_path / "both.wav")
    logging.getLogger("svmixer").removeHandler(caplog.handler)
    np.testing.assert_allclose(mixed, model.embed((SPEECH + other) / 2, RATE), atol=1e-6)
    assert "both.wav: its channels hold different sounds, which are mixed" in caplog.text


def test_channels_of_commands(tmp_path, capsys):
    both = np.stack([SPEECH, -SPEECH], axis=1)
    soundfile.write(tmp_path / "both.wav", both, RATE)
    name, model = str(tmp_path / "both.wav"), ["--model", "pocket"]
    main(["verify", name, name, "--channel", "1", *model])
    assert ", cosine 1.0000" in capsys.readouterr().out
    for words in (["embed", name, "--output"], ["enrol", name, "--output"]):
        main([*words, str(tmp_path / "e.npy"), "--channel", "1", *model])
        found = np.load(tmp_path / "e.npy").reshape(-1)
        np.testing.assert_allclose(found, load_onnx("pocket").embed(name, channel=1), atol=1e-6)
    assert "channel 2 (counted from 0)" in command(capsys, "verify", name, name, "--channel", "2", *model)


def test_a_file_says_its_rate_itself(model, tmp_path):
    soundfile.write(tmp_path / "a.wav", SPEECH, RATE)
    np.testing.assert_allclose(
        model.embed(str(tmp_path / "a.wav")), model.embed(soundfile.read(tmp_path / "a.wav")[0]), atol=1e-6
    )
    with pytest.raises(ValueError, match="a file says its sampling rate itself"):
        model.embed(str(tmp_path / "a.wav"), 8000)
    with pytest.raises(AudioError, match=r"none\.wav: missing file"):
        model.embed(tmp_path / "none.wav")


def test_both_forms_of_a_model_know_their_threshold():
    assert load_onnx("pocket").threshold == svmixer.load_model("pocket").threshold != None  # noqa: E711
