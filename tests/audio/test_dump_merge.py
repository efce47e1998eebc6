"""Merging: the lists of a dumped set, restricted to what was kept, or nothing at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from audio_files import noise_pcm, write_wav

from svmixer.audio.dump import DumpConfig, dump_job
from svmixer.audio.merge import MergeConfig, merge_jobs
from svmixer.lists import ListError

NAMES = ["a-1", "a-2", "b-1", "b-2", "c-1"]


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """Five utterances of three speakers; c-1 is missing, so speaker c will vanish."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    for name in NAMES[:-1]:
        write_wav(tmp_path / f"{name}.wav", noise_pcm(8000 + int(name[-1])))
    (folder / "wav.scp").write_text("".join(f"{name} {name}.wav\n" for name in NAMES))
    (folder / "utt2spk").write_text("".join(f"{name} {name[0]}\n" for name in NAMES))
    (folder / "spk2utt").write_text("a a-1 a-2\nb b-1 b-2\nc c-1\n")
    (folder / "trials").write_text("1 b-1 b-2\n0 a-1 c-1\n0 a-1 b-1\n1 a-1 a-2\n")
    return folder


def dump(num_jobs: int = 2) -> None:
    for job in range(1, num_jobs + 1):
        dump_job(DumpConfig("data", "dump", num_jobs=num_jobs, job=job))


def contents(tmp_path) -> set[str]:
    return {path.name for path in (tmp_path / "dump").iterdir() if path.is_file()}


def test_lists_are_restricted_to_kept_utterances(tmp_path):
    dump()
    merge_jobs(MergeConfig("data", "dump", num_jobs=2, max_drop=0.2))
    read = {path.name: path.read_text() for path in (tmp_path / "dump").iterdir() if path.is_file()}
    assert read.pop("wav.scp").splitlines() == [
        "a-1 dump/data/wav.1.ark:4",
        f"a-2 dump/data/wav.1.ark:{4 + 44 + 16002 + 4}",
        "b-1 dump/data/wav.2.ark:4",
        f"b-2 dump/data/wav.2.ark:{4 + 44 + 16002 + 4}",
    ]
    assert read == {
        "utt2num_samples": "a-1 8001\na-2 8002\nb-1 8001\nb-2 8002\n",
        "utt2spk": "a-1 a\na-2 a\nb-1 b\nb-2 b\n",
        "spk2utt": "a a-1 a-2\nb b-1 b-2\n",
        "trials": "1 b-1 b-2\n0 a-1 b-1\n1 a-1 a-2\n",
        "dropped.tsv": "utterance\treason\tsource\nc-1\tmissing file\tc-1.wav\n",
    }


def test_too_many_dropped_merges_nothing(tmp_path):
    dump()
    with pytest.raises(ListError) as caught:
        merge_jobs(MergeConfig("data", "dump", num_jobs=2, max_drop=0.19))
    assert str(caught.value) == (
        "data: 1 of 5 utterances cannot be used (1 missing file), more than max_drop 0.19 allows: "
        "c-1 (missing file: c-1.wav); repair with: better recordings, or a larger --max_drop"
    )
    assert contents(tmp_path) == set()


def test_the_first_few_of_many_dropped_are_named(tmp_path):
    scp = "".join(f"u{i} {i}.wav\n" for i in range(8)) + "v a-1.wav\n"
    (tmp_path / "data" / "wav.scp").write_text(scp)
    dump()
    with pytest.raises(ListError) as caught:
        merge_jobs(MergeConfig("data", "dump", num_jobs=2))
    assert "8 of 9 utterances cannot be used (8 missing file)" in str(caught.value)
    assert "u4 (" in str(caught.value) and "u5 (" not in str(caught.value)
    assert "all of them in dump/data/dropped.*.tsv" in str(caught.value)


def test_nothing_kept_is_an_error_at_any_cap(tmp_path):
    (tmp_path / "data" / "wav.scp").write_text("u none.wav\n")
    dump(1)
    with pytest.raises(ListError, match="1 of 1 utterances cannot be used"):
        merge_jobs(MergeConfig("data", "dump", max_drop=1.0))


def test_unfinished_and_foreign_jobs(tmp_path):
    dump(2)
    config = MergeConfig("data", "dump", num_jobs=3, max_drop=1.0)
    with pytest.raises(ListError, match=r"wav.3.scp: job 3 of 3 has not finished"):
        merge_jobs(config)
    # Job 3 of 3 beside jobs 1 and 2 of 2: b-2 is there twice.
    dump_job(DumpConfig("data", "dump", num_jobs=3, job=3))
    with pytest.raises(
        ListError, match=r"is not the work of 3 jobs over this list; repair with: run.sh --stage dump"
    ):
        merge_jobs(config)
    dump(2)
    (tmp_path / "data" / "wav.scp").write_text("a-1 a-1.wav\n")
    with pytest.raises(ListError, match=r"is not the work of 2 jobs over this list"):
        merge_jobs(MergeConfig("data", "dump", num_jobs=2, max_drop=1.0))
    assert contents(tmp_path) == set()


def test_lengths_of_another_run(tmp_path):
    dump(1)
    path = tmp_path / "dump" / "data" / "utt2num_samples.1"
    path.write_text(path.read_text().replace("b-2 8002\n", ""))
    with pytest.raises(ListError, match="does not name the utterances of its scp"):
        merge_jobs(MergeConfig("data", "dump", max_drop=1.0))


def test_speakers_and_trials_that_do_not_fit(tmp_path, data):
    dump()
    config = MergeConfig("data", "dump", num_jobs=2, max_drop=1.0)
    trials = (data / "trials").read_text()
    (data / "trials").write_text(trials + "1 a-1 b-1.wav\n")
    what = (
        r"trials:5: utterance b-1.wav: .*: a path, which stands for utterance 'b-1'; repair with: .*fix_data"
    )
    with pytest.raises(ListError, match=what):
        merge_jobs(config)
    (data / "wav.scp").write_text((data / "wav.scp").read_text().replace("b-2 b-2.wav", "b-2 b-1.wav"))
    what = r"trials:5: utterance b-1.wav: .* is a path of 2 recordings \(b-1, b-2\): name one of them"
    with pytest.raises(ListError, match=what):
        merge_jobs(config)
    (data / "trials").write_text(trials + "1 a-1 x-9\n")
    with pytest.raises(ListError, match=r"data/trials:5: utterance x-9: a trial names an unknown utterance"):
        merge_jobs(config)
    (data / "trials").write_text("0 a-1 c-1\n")
    with pytest.raises(ListError, match=r"data/trials: no trial is left"):
        merge_jobs(config)
    (data / "trials").write_text(trials)
    (data / "utt2spk").write_text("a-1 a\nb-1 b\nb-2 b\n")
    with pytest.raises(
        ListError, match=r"data/utt2spk: utterance a-2: no speaker; repair with: .*fix_data_dir"
    ):
        merge_jobs(config)
    assert contents(tmp_path) == set()


def test_noise_sets_and_lists_that_are_no_longer_there(tmp_path, data):
    dump()
    config = MergeConfig("data", "dump", num_jobs=2, max_drop=1.0)
    merge_jobs(config)
    assert "trials" in contents(tmp_path)
    for name in ("utt2spk", "spk2utt", "trials"):
        (data / name).unlink()
    merge_jobs(config)
    assert contents(tmp_path) == {"wav.scp", "utt2num_samples", "dropped.tsv"}


def test_merging_twice_gives_the_same(tmp_path):
    config = MergeConfig("data", "dump", num_jobs=2, max_drop=1.0)
    dump()
    merge_jobs(config)
    first = {path: path.read_bytes() for path in (tmp_path / "dump").rglob("*") if path.is_file()}
    dump()
    merge_jobs(config)
    assert {path: path.read_bytes() for path in (tmp_path / "dump").rglob("*") if path.is_file()} == first


@pytest.mark.parametrize(
    ("options", "message"), [({"max_drop": 2.0}, "max_drop 2.0"), ({"num_jobs": 0}, "num_jobs 0")]
)
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        MergeConfig("data", "dump", **options)


def test_sessions_go_with_the_kept_utterances(data):
    (data / "utt2session").write_text("".join(f"{name} {name[2]}\n" for name in NAMES))
    dump()
    merge_jobs(MergeConfig("data", "dump", num_jobs=2, max_drop=0.2))
    assert Path("dump/utt2session").read_text() == "a-1 1\na-2 2\nb-1 1\nb-2 2\n"
    (data / "utt2session").write_text("a-1 1\na-2 2\nc-1 1\n")
    with pytest.raises(ListError, match=r"utt2session.*b-1.*no session"):
        merge_jobs(MergeConfig("data", "dump", num_jobs=2, max_drop=0.2))
