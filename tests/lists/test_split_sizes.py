"""How many speakers validate and test, by how many there are."""

from __future__ import annotations

import pytest

from svmixer.lists import ListError, partition_data_dir, read_utt2spk, write_table
from svmixer.lists.split_sizes import Pool, split_sizes


@pytest.mark.parametrize(
    ("speakers", "valid", "test"),
    [
        (6, 2, 2), (7, 2, 2), (8, 2, 2), (9, 2, 3), (10, 2, 3), (12, 2, 4), (17, 3, 5), (20, 3, 6),
        (34, 5, 10), (50, 8, 15), (100, 15, 30), (5000, 15, 30),
    ],
)  # fmt: skip
def test_sizes_follow_the_number_of_speakers(speakers, valid, test):
    assert split_sizes(Pool(speakers, speakers, False), None, None, "utt2spk") == (valid, test)


def test_every_number_from_six_on_leaves_two_to_train_with():
    for speakers in range(6, 400):
        for able in range(4, speakers + 1):
            valid, test = split_sizes(Pool(able, speakers, False), None, None, "utt2spk")
            assert 2 <= valid <= test <= 30 and valid + test <= min(able, speakers - 2)


def test_what_the_user_says_counts():
    assert split_sizes(Pool(10, 10, False), 3, None, "utt2spk") == (3, 3)
    assert split_sizes(Pool(10, 10, False), None, 6, "utt2spk") == (2, 6)
    with pytest.raises(ListError, match="--valid_speakers 2 --test_speakers 7 wants 9 of them"):
        split_sizes(Pool(10, 10, False), None, 7, "utt2spk")
    with pytest.raises(ListError, match="--valid_speakers 1 --test_speakers 3 wants 4"):
        split_sizes(Pool(10, 10, False), 1, None, "utt2spk")


def test_trials_have_their_own_test_speakers():
    assert split_sizes(Pool(4, 4, True), None, None, "utt2spk") == (2, 0)
    with pytest.raises(
        ListError, match=r"3 of 3 speakers that are in no trial .* needs 4 speakers, 2 to validate, each"
    ):
        split_sizes(Pool(3, 3, True), None, None, "utt2spk")


def test_fewer_than_six():
    for able, speakers in ((5, 5), (3, 9)):
        with pytest.raises(ListError) as error:
            split_sizes(Pool(able, speakers, False), None, None, "data/utt2spk")
        assert str(error.value) == (
            f"data/utt2spk: {able} of {speakers} speakers have two utterances or more: a training needs 6 "
            "speakers, 2 to validate, 2 to test, each with two utterances, and 2 to train; repair with: "
            "more speakers; --test_only true makes a test set of all, to evaluate a model without training "
            "one"
        )
    with pytest.raises(ListError) as error:
        split_sizes(Pool(1, 1, False), None, None, "data/utt2spk")
    assert str(error.value).endswith("repair with: more speakers")


def test_a_test_set_of_all(tmp_path):
    source = tmp_path / "all"
    names = [f"s{speaker}-{number}" for speaker in range(3) for number in range(2)]
    write_table(source / "wav.scp", {name: f"/{name}.wav" for name in names})
    write_table(source / "utt2spk", {name: name[:2] for name in names})
    assert partition_data_dir(source, tmp_path, test_only=True) == {"test": 3}
    assert read_utt2spk(tmp_path / "test/utt2spk") == read_utt2spk(source / "utt2spk")
    assert len((tmp_path / "test/trials").read_text().splitlines()) == 6
    assert not (tmp_path / "train").exists() and not (tmp_path / "valid").exists()
