"""Subsets of a data directory, and train, valid and test by speaker."""

from __future__ import annotations

import pytest

from svmixer.lists import (
    ListError,
    Trials,
    partition_data_dir,
    read_table,
    read_trials,
    read_utt2spk,
    spk2utt_from,
    subset_data_dir,
    validate_data_dir,
    write_spk2utt,
    write_table,
    write_trials,
)


def test_subset_of_every_list(data_dir, tmp_path):
    write_table(data_dir / "spk2gender", {"a": "f", "b": "m"})
    target = tmp_path / "sub"
    target.mkdir()
    (target / "segments").write_text("of an earlier run\n")
    subset_data_dir(data_dir, target, {"b-1", "b-2"}, Trials.from_rows([(1, "b-1", "b-2")]))
    assert {path.name: path.read_text() for path in target.iterdir()} == {
        "wav.scp": "b-1 sox /c/b.mp3 -t wav - |\nb-2 /c/b2.flac\n",
        "utt2spk": "b-1 b\nb-2 b\n",
        "spk2utt": "b b-1 b-2\n",
        "spk2gender": "b m\n",
        "utt2lang": "b-1 en\nb-2 en\n",
        "trials": "1 b-1 b-2\n",
    }
    subset_data_dir(data_dir, target, {"a-1"})
    assert not (target / "trials").exists()


@pytest.mark.parametrize(
    ("name", "text"), [("segments", "u1 r1 0 1\nu2 r2 0 1\n"), ("parts", "u1 r1 0 1 r3 0 1\nu2 r2 0 1\n")]
)
def test_subset_keeps_the_recordings_it_needs(write, tmp_path, name, text):
    folder = write("d/wav.scp", "r1 x\nr2 y\nr3 z\n").parent
    write(f"d/{name}", text)
    write("d/utt2spk", "u1 s\nu2 s\n")
    subset_data_dir(folder, tmp_path / "sub", {"u1"})
    kept = ["r1"] if name == "segments" else ["r1", "r3"]
    assert list(read_table(tmp_path / "sub/wav.scp")) == kept
    assert (tmp_path / "sub" / name).read_text() == text.splitlines(keepends=True)[0]
    validate_data_dir(tmp_path / "sub")


def test_list_that_covers_nothing_is_left_out(data_dir, tmp_path):
    write_table(data_dir / "spk2gender", {"a": "f"})
    subset_data_dir(data_dir, tmp_path / "sub", {"b-1"})
    assert not (tmp_path / "sub/spk2gender").exists()
    validate_data_dir(tmp_path / "sub")


def test_unknown_utterance(data_dir, tmp_path):
    with pytest.raises(ListError, match="utterance z: not in this list"):
        subset_data_dir(data_dir, tmp_path / "sub", {"z"})


@pytest.fixture
def corpus(tmp_path):
    """Twelve speakers with three utterances each, and two with one."""
    utt2spk = {f"s{i:02d}-{j}": f"s{i:02d}" for i in range(14) for j in range(3 if i < 12 else 1)}
    folder = tmp_path / "all"
    write_table(folder / "wav.scp", {utterance: f"/c/{utterance}.wav" for utterance in utt2spk})
    write_table(folder / "utt2spk", utt2spk)
    write_spk2utt(folder / "spk2utt", utt2spk)
    return folder


def speakers_of(folder) -> dict[str, set[str]]:
    return {
        name: set(read_utt2spk(folder / name / "utt2spk").values()) for name in ("train", "valid", "test")
    }


def test_partition(corpus, tmp_path):
    counts = partition_data_dir(corpus, tmp_path / "data", valid_speakers=3, test_speakers=4)
    assert counts == {"train": 7, "valid": 3, "test": 4}
    sets = speakers_of(tmp_path / "data")
    assert {name: len(speakers) for name, speakers in sets.items()} == counts
    assert set.union(*sets.values()) == {f"s{i:02d}" for i in range(14)}
    assert {"s12", "s13"} <= sets["train"]
    for name in ("valid", "test"):
        validate_data_dir(tmp_path / "data" / name, need_speakers=True)
        trials = read_trials(tmp_path / "data" / name / "trials")
        assert int(trials.labels.sum()) == len(trials) // 2 == 3 * counts[name]
    assert validate_data_dir(tmp_path / "data/train", need_speakers=True).trials == 0


def test_partition_is_deterministic_and_stable(corpus, tmp_path):
    def sets(name: str, seed: int = 0) -> dict[str, set[str]]:
        partition_data_dir(corpus, tmp_path / name, valid_speakers=2, test_speakers=2, seed=seed)
        return speakers_of(tmp_path / name)

    first = sets("first")
    trials = (tmp_path / "first/test/trials").read_bytes()
    assert sets("second") == first
    assert (tmp_path / "second/test/trials").read_bytes() == trials
    assert len({frozenset(sets(f"seed{seed}", seed)["test"]) for seed in range(6)}) > 1
    # A further speaker takes one place at most.
    utt2spk = read_utt2spk(corpus / "utt2spk") | {"new-1": "new", "new-2": "new"}
    write_table(corpus / "utt2spk", utt2spk)
    write_table(corpus / "wav.scp", dict.fromkeys(utt2spk, "x"))
    after = sets("after")
    assert len(after["test"] - first["test"]) <= 1
    assert len(after["valid"] - first["valid"]) <= 1


def test_given_trials_are_the_test_set(corpus, tmp_path):
    write_trials(corpus / "trials", Trials.from_rows([(1, "s01-0", "s01-2"), (0, "s01-0", "s05-1")]))
    counts = partition_data_dir(corpus, tmp_path / "data", valid_speakers=2, test_speakers=9)
    assert counts == {"train": 10, "valid": 2, "test": 2}
    sets = speakers_of(tmp_path / "data")
    assert sets["test"] == {"s01", "s05"}
    assert not sets["test"] & (sets["train"] | sets["valid"])
    assert list(read_utt2spk(tmp_path / "data/test/utt2spk")) == ["s01-0", "s01-2", "s05-1"]
    assert (tmp_path / "data/test/trials").read_bytes() == (corpus / "trials").read_bytes()


def test_too_few_speakers(corpus, tmp_path):
    for valid, test in ((7, 6), (1, 4), (4, 1)):
        with pytest.raises(ListError, match=r"12 of 14 speakers have two utterances or more") as caught:
            partition_data_dir(corpus, tmp_path / "data", valid_speakers=valid, test_speakers=test)
        assert caught.value.path == corpus / "utt2spk"
    assert not (tmp_path / "data").exists()
    utt2spk = {u: s for u, s in read_utt2spk(corpus / "utt2spk").items() if s < "s05"}
    write_table(corpus / "utt2spk", utt2spk)
    assert len(spk2utt_from(utt2spk)) == 5
    with pytest.raises(ListError, match="a training needs 6 speakers"):
        partition_data_dir(corpus, tmp_path / "data", valid_speakers=2, test_speakers=2)


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_a_directory_is_not_divided_into_itself(data_dir, tmp_path, part):
    source = data_dir.rename(tmp_path / part)
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    with pytest.raises(ListError, match=f"would be overwritten by its own part {part}"):
        partition_data_dir(source, tmp_path, valid_speakers=2, test_speakers=2)
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [part]
