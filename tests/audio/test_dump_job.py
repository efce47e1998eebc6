"""Dump jobs: the samples that arrive, what is dropped and why, and what an interrupted job leaves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import noise_pcm, tone, wav_bytes, write_wav

from svmixer.audio import DumpSet, pieces, read_audio, to_mono_16k, to_pcm16
from svmixer.audio import dump as dump_module
from svmixer.audio.dump import DumpConfig, JobFiles, dump_job
from svmixer.audio.merge import MergeConfig, merge_jobs
from svmixer.audio.pieces import RecordingCache
from svmixer.audio.share import job_range
from svmixer.lists import ListError


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()


def write_lists(folder, **lists: dict[str, str]):
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in lists.items():
        text = "".join(f"{key} {value}\n" for key, value in sorted(table.items()))
        (folder / name.replace("wav_scp", "wav.scp")).write_text(text)


def dump(num_jobs: int = 1, **options) -> dict[str, np.ndarray]:
    """Run all jobs and merge; utterance → np.int16 [N]."""
    for job in range(1, num_jobs + 1):
        dump_job(DumpConfig("data", "dump", num_jobs=num_jobs, job=job, **options))
    merge_jobs(MergeConfig("data", "dump", num_jobs=num_jobs, max_drop=1.0))
    dumped = DumpSet("dump")
    return {name: to_pcm16(dumped.read(index)) for index, name in enumerate(dumped.utterances)}


def dropped() -> dict[str, str]:
    header, *rows = Path("dump/dropped.tsv").read_text().splitlines()
    assert header == "utterance\treason\tsource"
    return {row.split("\t")[0]: row.split("\t")[1] for row in rows}


def test_16_khz_mono_arrives_unchanged_and_the_rest_is_converted(tmp_path):
    pcm = noise_pcm(8000)
    stereo = np.stack([noise_pcm(8000, 1), noise_pcm(8000, 2)], axis=1)
    write_wav(tmp_path / "a.wav", pcm)
    write_wav(tmp_path / "b.wav", stereo)
    soundfile.write(tmp_path / "c.flac", tone(8000, 1.0), 8000)
    write_lists(tmp_path / "data", wav_scp={"a": "a.wav", "b": "b.wav", "c": "c.flac"})
    result = dump()
    np.testing.assert_array_equal(result["a"], pcm)
    np.testing.assert_array_equal(result["b"], np.rint(stereo.mean(axis=1)))  # halves go to even
    assert len(result["c"]) == 16000
    np.testing.assert_allclose(result["c"][500:-500], tone(16000, 1.0)[500:-500] * 32768, atol=8)


def test_segments_and_open_ends(tmp_path):
    pcm = noise_pcm(32000)
    write_wav(tmp_path / "a.wav", pcm)
    write_lists(tmp_path / "data", wav_scp={"r": "a.wav"}, segments={"u1": "r 0.5 1.25", "u2": "r 1.25 -1"})
    result = dump()
    np.testing.assert_array_equal(result["u1"], pcm[8000:20000])
    np.testing.assert_array_equal(result["u2"], pcm[20000:])


def test_parts_are_joined_to_the_sample(tmp_path):
    one, two = noise_pcm(16000, 1), noise_pcm(16000, 2)
    write_wav(tmp_path / "1.wav", one)
    write_wav(tmp_path / "2.wav", two)
    parts = {"u": "r2 0.5 0.75 r1 0 -1 r2 0.75 1", "v": "r1 0.1 0.5"}
    write_lists(tmp_path / "data", wav_scp={"r1": "1.wav", "r2": "2.wav"}, parts=parts)
    result = dump()
    np.testing.assert_array_equal(result["u"], np.concatenate([two[8000:12000], one, two[12000:]]))
    np.testing.assert_array_equal(result["v"], one[1600:8000])


def test_trim_cuts_every_piece(tmp_path):
    speech = np.round(tone(16000, 0.5) * 32767).astype(np.int16)
    silence = np.zeros(16000, np.int16)
    write_wav(tmp_path / "a.wav", np.concatenate([silence, speech, silence]))
    write_lists(tmp_path / "data", wav_scp={"r": "a.wav"}, parts={"u": "r 0 -1 r 0 -1", "v": "r 0 0.9"})
    assert len(dump()["u"]) == 80000
    result = dump(trim=True)
    # As worked out in test_trim: 15680 − 1600 to 23840 + 400 + 1600.
    np.testing.assert_array_equal(
        result["u"][:11760], np.concatenate([silence, speech, silence])[14080:25840]
    )
    np.testing.assert_array_equal(result["u"][:11760], result["u"][11760:])
    assert dropped() == {"v": "too short: 0 s, less than 0.3 s"}


def test_every_reason_to_drop(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "junk.wav").write_bytes(b"no audio at all, sorry")
    (tmp_path / "nan.wav").write_bytes(wav_bytes(np.full(9000, np.nan, "<f4").tobytes(), bits=32, encoding=3))
    write_wav(tmp_path / "zero.wav", np.zeros(9000, np.int16))
    write_wav(tmp_path / "short.wav", noise_pcm(4799))
    write_wav(tmp_path / "good.wav", noise_pcm(4800))
    cut = (tmp_path / "good.wav").read_bytes()[:5000]
    (tmp_path / "cut.wav").write_bytes(cut)
    names = ["empty", "junk", "nan", "zero", "short", "good", "cut", "none"]
    write_lists(tmp_path / "data", wav_scp={name: f"{name}.wav" for name in names} | {"pipe": "exit 7 |"})
    assert list(dump(allow_pipes=True)) == ["good"]
    assert dropped() == {
        "empty": "empty: no bytes",
        "junk": "unreadable: no known audio format (begins with b'no audio')",
        "nan": "non-finite: 9000 of 9000 samples are NaN or infinite",
        "zero": "all-zero: 0.56 s of digital silence",
        "short": "too short: 0.2999 s, less than 0.3 s",
        "cut": "unreadable: truncated: the WAV header promises 9600 bytes of samples, 4956 are there",
        "none": "missing file",
        "pipe": "pipe failed: exit status 7: no message",
    }


def test_one_bad_piece_drops_the_utterance_and_is_named(tmp_path):
    write_wav(tmp_path / "a.wav", noise_pcm(16000))
    write_lists(
        tmp_path / "data",
        wav_scp={"r1": "a.wav", "r2": "b.wav"},
        parts={"u": "r1 0 -1 r2 0 -1", "v": "r1 0 -1", "w": "r1 0.5 1.6"},
    )
    assert list(dump()) == ["v"]
    assert dropped() == {
        "u": "missing file",
        "w": "bad segment: 0.5 to 1.6 s of a recording of 1 s",
    }
    assert Path("dump/dropped.tsv").read_text().splitlines()[1].endswith("\tb.wav")


def test_the_number_of_jobs_does_not_matter(tmp_path):
    for index in range(6):
        soundfile.write(tmp_path / f"{index}.ogg", tone(22050, 2.0, 200 + 50 * index), 22050)
    (tmp_path / "5.ogg").write_bytes(b"OggS and nothing else")
    scp = {f"r{i}": f"{i}.ogg" for i in range(6)}
    segments = {f"r{i}-{k}": f"r{i} {k / 2} {k / 2 + 0.7}" for i in range(6) for k in range(3)}
    write_lists(tmp_path / "data", wav_scp=scp, segments=segments)
    results = {}
    for num_jobs in (7, 1, 30, 2):
        results[num_jobs] = dump(num_jobs)
        assert len(dropped()) == 3
        # Nothing of an earlier dump with more jobs is left.
        assert len(list((tmp_path / "dump" / "data").iterdir())) == 4 * num_jobs
    for result in results.values():
        assert list(result) == sorted(segments)[:15]
        for name, pcm in result.items():
            assert pcm.tobytes() == results[1][name].tobytes()


def test_shares_are_contiguous_and_balanced():
    for count, num_jobs in [(10, 3), (3, 5), (0, 2), (1200000, 7)]:
        shares = [job_range(count, num_jobs, job) for job in range(1, num_jobs + 1)]
        assert [row for share in shares for row in (share.start, share.stop)][1:-1:2] == [
            share.start for share in shares[1:]
        ]
        assert shares[0].start == 0 and shares[-1].stop == count
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_recording_is_decoded_once_for_neighbours(tmp_path, monkeypatch):
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.ogg", tone(16000, 3.0), 16000)
    opened = []

    def counted(source, **options):
        opened.append(source)
        return read_open(source, **options)

    read_open = pieces.open_recording
    monkeypatch.setattr(pieces, "open_recording", counted)
    segments = {f"{r}{k}": f"{r} {k} {k + 1}" for r in "ab" for k in range(3)} | {
        "c1": "none 0 1",
        "c2": "none 1 2",
    }
    write_lists(
        tmp_path / "data", wav_scp={"a": "a.ogg", "b": "b.ogg", "none": "none.ogg"}, segments=segments
    )
    assert len(dump()) == 6
    assert opened == ["a.ogg", "b.ogg", "none.ogg"]


def test_the_cache_is_bounded(tmp_path, monkeypatch):
    for index in range(4):
        soundfile.write(tmp_path / f"{index}.ogg", tone(16000, 1.0), 16000)  # 64000 bytes as float
    monkeypatch.setattr(pieces, "_CACHE_BYTES", 150_000)
    cache = RecordingCache(allow_pipes=False)
    first = cache.open("0.ogg")
    assert cache.open("1.ogg") is not first and cache.open("0.ogg") is first
    cache.open("2.ogg")  # 1.ogg was not used for longest
    assert cache.open("0.ogg") is first
    cache.open("3.ogg"), cache.open("2.ogg")
    assert cache.open("0.ogg") is not first


def test_raw_copy_points_at_the_originals(tmp_path):
    one, two = noise_pcm(8000, 1), noise_pcm(9000, 2)
    write_wav(tmp_path / "a.wav", one, before_data=b"LIST\4\0\0\0abcd")
    (tmp_path / "x.ark").write_bytes(b"b " + wav_bytes(two.tobytes()))
    write_wav(tmp_path / "c.wav", noise_pcm(100))
    (tmp_path / "e.wav").touch()
    scp = {"a": "a.wav", "b": "x.ark:2", "c": "c.wav", "d": "d.wav", "e": "e.wav"}
    write_lists(tmp_path / "data", wav_scp=scp)
    result = dump(num_jobs=2, feats_type="raw_copy")
    assert Path("dump/wav.scp").read_text() == "a a.wav\nb x.ark:2\n"
    assert Path("dump/utt2num_samples").read_text() == "a 8000\nb 9000\n"
    assert not list((tmp_path / "dump" / "data").glob("*.ark"))
    np.testing.assert_array_equal(result["a"], one)
    np.testing.assert_array_equal(result["b"], two)
    assert dropped() == {
        "c": "too short: 0.00625 s, less than 0.3 s",
        "d": "missing file",
        "e": "empty: no bytes",
    }


def test_raw_copy_of_a_file_whose_name_looks_like_a_place_in_an_archive(tmp_path):
    one = noise_pcm(8000, 1)
    write_wav(tmp_path / "call_12:30", one)
    write_lists(tmp_path / "data", wav_scp={"a": "call_12:30"})
    np.testing.assert_array_equal(dump(feats_type="raw_copy")["a"], one)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("8k.wav", "8000 Hz, 1 channels, 16 bits (WAVE format 1)"),
        ("2.wav", "16000 Hz, 2 channels, 16 bits (WAVE format 1)"),
        ("24.wav", "16000 Hz, 1 channels, 24 bits (WAVE format 1)"),
        ("a.flac", "another format"),
        ("cat 8k.wav |", "a command"),
    ],
)
def test_raw_copy_refuses_what_it_would_have_to_change(tmp_path, name, found):
    write_wav(tmp_path / "8k.wav", noise_pcm(8000), rate=8000)
    write_wav(tmp_path / "2.wav", noise_pcm(8000).reshape(-1, 2))
    (tmp_path / "24.wav").write_bytes(wav_bytes(bytes(30000), bits=24))
    soundfile.write(tmp_path / "a.flac", noise_pcm(8000), 16000)
    write_lists(tmp_path / "data", wav_scp={"u": name})
    with pytest.raises(ListError) as caught:
        dump(feats_type="raw_copy", allow_pipes=True)
    assert str(caught.value) == (
        f"data/wav.scp: utterance u: feats_type raw_copy needs 16 kHz mono 16-bit WAV, found {found}; "
        "repair with: --feats_type raw"
    )


def test_raw_copy_needs_whole_recordings(tmp_path):
    write_wav(tmp_path / "a.wav", noise_pcm(16000))
    write_lists(tmp_path / "data", wav_scp={"r": "a.wav"}, segments={"u": "r 0 1"})
    with pytest.raises(ListError, match="whole recordings; repair with: --feats_type raw"):
        dump(feats_type="raw_copy")
    with pytest.raises(ValueError, match="cannot trim"):
        DumpConfig("data", "dump", feats_type="raw_copy", trim=True)


def test_an_interrupted_job_leaves_nothing_that_looks_finished(tmp_path, monkeypatch):
    for index in range(4):
        write_wav(tmp_path / f"{index}.wav", noise_pcm(8000, index))
    write_lists(tmp_path / "data", wav_scp={f"u{i}": f"{i}.wav" for i in range(4)})
    whole = dump()
    utterance_pcm = dump_module.utterance_pcm

    def interrupted(utterance, *args, **options):
        if utterance.name == "u2":
            raise KeyboardInterrupt
        return utterance_pcm(utterance, *args, **options)

    monkeypatch.setattr(dump_module, "utterance_pcm", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dump()
    # The old job's lists are gone with its archive, and the merged list that pointed into it.
    assert list((tmp_path / "dump" / "data").iterdir()) == []
    assert not (tmp_path / "dump" / "wav.scp").exists()
    with pytest.raises(
        ListError, match=r"dump/data/wav.1.scp: job 1 of 1 has not finished; repair with: run.sh --stage dump"
    ):
        merge_jobs(MergeConfig("data", "dump"))
    monkeypatch.setattr(dump_module, "utterance_pcm", utterance_pcm)
    for name, pcm in dump().items():
        np.testing.assert_array_equal(pcm, whole[name])


def test_leftovers_of_a_killed_job_are_removed(tmp_path):
    write_wav(tmp_path / "a.wav", noise_pcm(8000))
    write_lists(tmp_path / "data", wav_scp={"a": "a.wav"})
    files = JobFiles("dump", 1)
    files.ark.parent.mkdir(parents=True)
    for path in (files.ark, files.scp):
        path.with_name(f".{path.name}.abc.tmp").write_text("half")
    other = files.ark.with_name(".wav.11.ark.abc.tmp")
    other.write_text("another job is writing this")
    dump()
    assert [path.name for path in files.ark.parent.glob(".*")] == [other.name]


def test_a_dump_does_not_overwrite_its_own_sources(tmp_path):
    write_wav(tmp_path / "a.wav", noise_pcm(8000))
    write_lists(tmp_path / "data", wav_scp={"a": "a.wav"})
    before = dump()
    (tmp_path / "data" / "wav.scp").write_text((tmp_path / "dump" / "wav.scp").read_text())
    with pytest.raises(
        ListError, match=r"its recordings lie in dump/data, .*; repair with: another --output_dir"
    ):
        dump_job(DumpConfig("data", "dump"))
    np.testing.assert_array_equal(to_pcm16(DumpSet("dump").read(0)), before["a"])
    with pytest.raises(ListError, match="the same folder"):
        dump_job(DumpConfig("data", "data/../data"))
    assert (tmp_path / "data" / "wav.scp").exists()


def test_lists_that_cannot_be_dumped(tmp_path):
    data = tmp_path / "data"
    cases = [
        (
            {"wav_scp": {"a": "cat a.wav |"}},
            r"wav.scp:1: utterance a: 'cat a.wav \|' is a command, .*--allow_pipes true",
        ),
        ({"wav_scp": {"a": "-"}}, r"wav.scp:1: utterance a: '-' is not a recording"),
        (
            {"wav_scp": {"r": "a.wav"}, "segments": {"u": "s 0 1"}},
            r"segments:1: utterance u: recording s is not in",
        ),
        (
            {"wav_scp": {"r": "a.wav"}, "segments": {"u": "r 0"}},
            r"segments:1: utterance u: expected <recording>",
        ),
        ({"wav_scp": {}}, r"wav.scp: empty list"),
    ]
    for lists, message in cases:
        for path in data.iterdir():
            path.unlink()
        write_lists(data, **lists)
        with pytest.raises(ListError, match=message):
            dump()
    (data / "parts").write_text("u r 0 1\n")
    (data / "segments").write_text("u r 0 1\n")
    with pytest.raises(ListError, match="segments and parts are both there"):
        dump()
    for path in (data / "parts", data / "segments"):
        path.unlink()
    for text, message in [
        (
            "b b.wav\na a.wav\n",
            r"wav.scp:2: utterance a: not sorted: it stands behind b; repair with: .*fix_data_dir",
        ),
        ("a a.wav\na a.wav\n", r"wav.scp:2: utterance a: id is listed twice"),
        ("a a.wav\r\n", r"wav.scp:1: carriage return"),
    ]:
        (data / "wav.scp").write_text(text, newline="")
        with pytest.raises(ListError, match=message):
            dump()
    assert not (tmp_path / "dump").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_jobs": 2, "job": 3}, "job 3 of 2"),
        ({"num_jobs": 0}, "job 1 of 0"),
        ({"min_seconds": -1.0}, "min_seconds -1.0 is negative"),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(DumpConfig("data", "dump"), **options)


def test_the_dump_is_what_reading_gives(tmp_path):
    """The same path by hand: read, mix, resample, round."""
    soundfile.write(tmp_path / "a.ogg", np.stack([tone(44100, 1.0), tone(44100, 1.0, 900)], axis=1), 44100)
    write_lists(tmp_path / "data", wav_scp={"u": "a.ogg"})
    wave, rate = read_audio("a.ogg")
    np.testing.assert_array_equal(dump()["u"], to_pcm16(to_mono_16k(wave, rate)))


@pytest.mark.parametrize(("gain", "peak"), [(0.9, 0.9), (1.2, 1.0), (4.0, 1.0)])
def test_floats_above_full_scale(gain, peak):
    """What decoders overshoot is cut off; a recording far above full scale keeps its shape."""
    wave = (gain * np.sin(2 * np.pi * 100 * np.arange(16000) / 16000)).astype(np.float32)
    soundfile.write("a.wav", wave, 16000, subtype="FLOAT")
    write_lists(Path("data"), wav_scp={"u": "a.wav"})
    found = dump()["u"] / 32768
    np.testing.assert_allclose(found, np.clip(wave, -1, 1) if gain < 1.5 else wave / gain, atol=1e-4)
    assert np.abs(found).max() == pytest.approx(peak, abs=1e-3)
