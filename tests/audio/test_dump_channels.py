"""A speaker a channel: what is dumped of each utterance, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import noise_pcm, wav_bytes, write_wav

from svmixer.audio import AudioError, DumpSet, open_recording, to_pcm16
from svmixer.audio.dump import DumpConfig, dump_job
from svmixer.audio.merge import MergeConfig, merge_jobs
from svmixer.lists import ListError, overlap

ANN, BOB = noise_pcm(16000, 1), noise_pcm(16000, 2)


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / "call.wav", np.stack([ANN, BOB], axis=1))
    soundfile.write(tmp_path / "call.flac", np.stack([ANN, BOB], axis=1), 16000)
    write_wav(tmp_path / "ann.wav", ANN)
    write_wav(tmp_path / "bob.wav", BOB)


def dump(jobs: int = 1, options: dict | None = None, **lists: str) -> dict[str, np.ndarray]:
    """Utterance → np.int16 [N] of a data directory with these lists."""
    data = Path("data")
    data.mkdir(exist_ok=True)
    for path in data.iterdir():
        path.unlink()
    for name, text in lists.items():
        (data / name.replace("wav_scp", "wav.scp")).write_text(text)
    for job in range(1, jobs + 1):
        dump_job(DumpConfig("data", "dump", num_jobs=jobs, job=job, **(options or {})))
    merge_jobs(MergeConfig("data", "dump", num_jobs=jobs, max_drop=0.0))
    dumped = DumpSet("dump")
    return {name: to_pcm16(dumped.read(index)) for index, name in enumerate(dumped.utterances)}


@pytest.mark.parametrize("name", ["call.wav", "call.flac", "cat call.wav |"])
def test_segments_take_their_channel(name):
    result = dump(
        wav_scp=f"r {name}\n",
        segments="a r 0.25 0.75 0\nb r 0.25 0.75 1\nboth r 0.25 0.75\n",
        options={"allow_pipes": True},
    )
    np.testing.assert_array_equal(result["a"], ANN[4000:12000])
    np.testing.assert_array_equal(result["b"], BOB[4000:12000])
    mean = np.rint((ANN[4000:12000].astype(float) + BOB[4000:12000]) / 2)
    np.testing.assert_allclose(result["both"], mean, atol=1)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(("first", "second"), [("A", "B"), ("1", "2")])
def test_recordings_take_their_channel(jobs, first, second):
    result = dump(
        jobs,
        wav_scp="a call.wav\nb call.wav\nc bob.wav\n",
        reco2file_and_channel=f"a call {first}\nb call {second}\n",
    )
    np.testing.assert_array_equal(result["a"], ANN)
    np.testing.assert_array_equal(result["b"], BOB)
    np.testing.assert_array_equal(result["c"], BOB)


def test_segments_and_parts_of_recordings_with_a_channel():
    lists = {"wav_scp": "ra call.wav\nrb call.wav\n", "reco2file_and_channel": "ra call A\nrb call B\n"}
    # The line of segments goes before the recording's.
    result = dump(**lists, segments="a ra 0 0.5\nb rb 0 0.5\nc rb 0 0.5 0\n")
    for name, pcm in {"a": ANN, "b": BOB, "c": ANN}.items():
        np.testing.assert_array_equal(result[name], pcm[:8000])
    result = dump(**lists, parts="u ra 0 0.5 rb 0.5 1\n")
    np.testing.assert_array_equal(result["u"], np.concatenate([ANN[:8000], BOB[8000:]]))


def test_what_a_command_took_already_is_used_as_it_is():
    """As in most Kaldi recipes: ``sph2pipe -c 2`` in wav.scp, and B in reco2file_and_channel."""
    result = dump(
        wav_scp="a cat ann.wav |\nb cat bob.wav |\nc bob.wav\n",
        reco2file_and_channel="a call A\nb call B\nc call B\n",
        options={"allow_pipes": True},
    )
    np.testing.assert_array_equal(result["a"], ANN)
    np.testing.assert_array_equal(result["b"], BOB)
    np.testing.assert_array_equal(result["c"], BOB)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (
            {"wav_scp": "r call.wav\n", "segments": "a r 0 1 0\nb r 0 1 2\n"},
            "data/segments:2: utterance b: no such channel: channel 2 (counted from 0), "
            "and the recording has 2 channels (call.wav)",
        ),
        (
            {"wav_scp": "r bob.wav\n", "segments": "a r 0 1 0\nb r 0 1 1\n"},
            "data/segments:2: utterance b: no such channel: channel 1 (counted from 0), "
            "and the recording has 1 channel (bob.wav)",
        ),
        (
            {
                "wav_scp": "r call.wav\n",
                "segments": "a r 0 1\n",
                "reco2file_and_channel": "q q A\nr call 3\n",
            },
            "data/reco2file_and_channel:2: utterance a: no such channel: channel 2 (counted from 0), "
            "and the recording has 2 channels (call.wav)",
        ),
        # A call that was mixed down: its one channel cannot be both of them.
        (
            {"wav_scp": "a bob.wav\nb bob.wav\n", "reco2file_and_channel": "a call A\nb call B\n"},
            "data/reco2file_and_channel:2: utterance b: no such channel: channel 1 (counted from 0), "
            "and the recording has 1 channel (bob.wav)",
        ),
    ],
)
def test_a_channel_that_the_recording_does_not_have(lists, message):
    with pytest.raises(ListError) as caught:
        dump(**lists)
    assert str(caught.value) == message
    assert not Path("dump/data/wav.1.scp").exists()


def test_two_channels_of_one_channel_under_two_spellings():
    lists = {"wav_scp": "a bob.wav\nb ./bob.wav\n", "reco2file_and_channel": "a call A\nb call B\n"}
    with pytest.raises(ListError, match="utterance b: no such channel"):
        dump(**lists)


def test_two_channels_of_one_channel_in_different_jobs():
    lists = {"wav_scp": "a bob.wav\nb bob.wav\n", "reco2file_and_channel": "a call A\nb call B\n"}
    with pytest.raises(ListError, match="utterance b: no such channel"):
        dump(2, **lists)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (
            {"wav_scp": "r call.wav\n", "segments": "a r 0 1 A\n"},
            "data/segments:1: utterance a: channel 'A' is not a number from 0",
        ),
        (
            {"wav_scp": "a call.wav\n", "reco2file_and_channel": "a call 0\n"},
            "data/reco2file_and_channel:1: recording a: channel '0' is neither",
        ),
        (
            {"wav_scp": "a call.wav\n", "reco2file_and_channel": "a call A\na call B\n"},
            "data/reco2file_and_channel:2: recording a: id is listed twice",
        ),
    ],
)
def test_lists_that_cannot_be_dumped(lists, message):
    with pytest.raises(ListError, match=message):
        dump(**lists)


def test_raw_copy_takes_no_channel():
    raw_copy = {"feats_type": "raw_copy"}
    for channels in ("a call A\nb call B\n", "a call A\n"):
        with pytest.raises(ListError, match="repair with: --feats_type raw"):
            dump(wav_scp="a call.wav\nb call.wav\n", reco2file_and_channel=channels, options=raw_copy)
    with pytest.raises(ListError) as caught:
        dump(
            wav_scp="a bob.wav\nb bob.wav\n",
            reco2file_and_channel="a call A\nb call B\n",
            options=raw_copy,
        )
    assert str(caught.value) == (
        "data/reco2file_and_channel:1: utterance a: feats_type raw_copy cannot take a channel out of a "
        "recording; repair with: --feats_type raw"
    )
    # One channel is all there is.
    result = dump(wav_scp="b bob.wav\n", reco2file_and_channel="b call B\n", options=raw_copy)
    np.testing.assert_array_equal(result["b"], BOB)


def test_the_dump_warns_once_of_two_speakers_in_one_recording(monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(overlap.logger, "warning", lambda text, *values: said.append(text % values))
    lists = {"wav_scp": "a call.wav\nb call.wav\n", "utt2spk": "a ann\nb bob\n"}
    dump(2, **lists)
    [warning] = said
    assert warning.startswith(
        "data: different speakers at the same time in 1 of its recordings, first in b: utterances a and b."
    )
    said.clear()
    dump(**lists, reco2file_and_channel="a call A\nb call B\n")
    dump(wav_scp="r call.wav\n", segments="a r 0 0.5\nb r 0.5 1\n", utt2spk="a ann\nb bob\n")
    dump(**{**lists, "utt2spk": "b bob\na ann\n"})  # unsorted: the merge reads it, nothing is said here
    assert said == []


def test_a_recording_reads_one_channel(tmp_path):
    recording = open_recording("call.wav")
    assert recording.read(0.5, 1).shape == (2, 8000)
    wave = recording.read(0.5, 1, channel=1)
    assert wave.dtype == np.float32
    np.testing.assert_array_equal(wave, BOB[None, 8000:].astype(np.float32) / 32768)
    with pytest.raises(AudioError) as caught:
        recording.read(channel=2)
    assert (caught.value.reason, caught.value.source) == ("no such channel", "call.wav")
    # What the other channel holds does not matter.
    samples = np.stack([np.full(8000, np.nan), np.full(8000, 0.5)], axis=1).astype("<f4")
    Path("nan.wav").write_bytes(wav_bytes(samples.tobytes(), channels=2, bits=32, encoding=3))
    np.testing.assert_array_equal(open_recording("nan.wav").read(channel=1), np.full((1, 8000), 0.5))
    with pytest.raises(AudioError, match="non-finite"):
        open_recording("nan.wav").read(channel=0)
