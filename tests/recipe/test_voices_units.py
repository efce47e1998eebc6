"""The parts of the Debian voices' data stage: the table of voices, joining, choosing, simulated rooms."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

RECIPE = Path(__file__).resolve().parents[2] / "egs/debian_voices/sv1"
sys.path.insert(0, str(RECIPE / "local"))

import corpus  # noqa: E402
import simulate_rirs  # noqa: E402
from scan import Scan  # noqa: E402
from utterances import distinct, join_files, spread  # noqa: E402

HEADER = "speaker\tsex\tlang\tpackage\tset\tsplit\tfiles\tpath_glob"
ROW = (
    "ann",
    "F?",
    "en_GB+de",
    "pkg",
    "compact",
    "valid",
    "2",
    "usr/share/ann/* ; !*/tux-* ; usr/share/more/a?.ogg",
)


def scan(path: str, seconds: float, digest: str | None = None) -> Scan:
    """A file whose speech lasts ``seconds`` and starts at 1 s."""
    return Scan(path, 1, 1, seconds + 2, 1.0, 1.0 + seconds, digest or path, "")


def joined(*files: tuple[str, float]) -> list[list[str]]:
    return [
        [file.path for file in utterance.files] for utterance in join_files([scan(*file) for file in files])
    ]


def write_table(path: Path, *rows: tuple[str, ...]) -> Path:
    path.write_text("\n".join([HEADER, *("\t".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return path


def edited(**fields: str) -> tuple[str, ...]:
    return tuple(fields.get(name, value) for name, value in zip(HEADER.split("\t"), ROW, strict=True))


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


# Joining


def test_short_files_are_joined_until_three_seconds():
    assert joined(("d/1", 1.0), ("d/2", 1.5), ("d/3", 0.5), ("d/4", 2.0), ("d/5", 2.0)) == [
        ["d/1", "d/2", "d/3"],
        ["d/4", "d/5"],
    ]


def test_a_long_file_stays_single_and_the_short_ones_around_it_are_joined():
    assert joined(("d/1", 1.0), ("d/2", 3.0), ("d/3", 2.5), ("d/4", 7.0)) == [
        ["d/1", "d/3"],
        ["d/2"],
        ["d/4"],
    ]


@pytest.mark.parametrize(("rest", "kept"), [(1.9, False), (2.0, True), (2.9, True)])
def test_a_rest_at_the_end_is_kept_from_two_seconds(rest, kept):
    assert joined(("d/1", 3.0), ("d/2", rest)) == [["d/1"]] + [["d/2"]] * kept


def test_a_rest_of_two_seconds_ends_with_its_folder():
    assert joined(("a/1", 2.0), ("b/1", 1.0), ("b/2", 2.0)) == [["a/1"], ["b/1", "b/2"]]


def test_a_shorter_rest_goes_on_with_the_next_folder_up_to_three_seconds():
    assert joined(("a/1", 1.0), ("b/1", 1.5), ("c/1", 0.5), ("c/2", 2.5)) == [["a/1", "b/1", "c/1"], ["c/2"]]


files_of_a_speaker = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 50)), max_size=40).map(
    # Quarters of a second: sums are exact.
    lambda drawn: [
        scan(f"{folder}/{i:03d}", quarters / 4)
        for i, (folder, quarters) in enumerate(sorted(drawn, key=lambda d: d[0]))
    ]
)


@given(files_of_a_speaker)
def test_joining_keeps_order_and_limits(files):
    utterances = join_files(files)
    place = {file.path: index for index, file in enumerate(files)}
    used = [file for utterance in utterances for file in utterance.files]
    assert len(used) == len(set(used))
    assert [place[u.files[0].path] for u in utterances] == sorted(place[u.files[0].path] for u in utterances)
    for utterance in utterances:
        places = [place[file.path] for file in utterance.files]
        assert places == sorted(places)
        assert utterance.seconds >= 2.0
        if len(utterance.files) > 1:
            # Nothing is joined that was long enough before.
            assert utterance.seconds - (utterance.files[-1].end - utterance.files[-1].start) < 3.0
    for file in set(files) - set(used):
        assert file.end - file.start < 3.0
    assert sum(file.end - file.start for file in set(files) - set(used)) < 2.0


@given(files_of_a_speaker)
def test_only_the_rest_of_a_folder_or_of_all_is_shorter_than_three_seconds(files):
    short = [file for file in files if file.end - file.start < 3.0]
    last_of = {os.path.dirname(file.path): file for file in short}
    for utterance in join_files(files):
        if utterance.seconds < 3.0:
            folders = {os.path.dirname(file.path) for file in utterance.files}
            at_the_end = utterance.files[-1] is short[-1]
            assert at_the_end or (len(folders) == 1 and utterance.files[-1] is last_of[folders.pop()])


# Duplicates, choice


def test_the_first_of_equal_files_counts():
    files = [scan("d/1", 1, "x"), scan("d/2", 1, "y"), scan("e/1", 1, "x"), scan("e/2", 1, "y")]
    assert distinct(files) == files[:2]


def test_spread_takes_the_middle_of_equal_stretches():
    assert spread(range(12), 6) == [1, 3, 5, 7, 9, 11]
    assert spread(range(10), 3) == [1, 5, 8]
    assert spread(range(3), 3) == spread(range(3), 9) == [0, 1, 2]


@given(st.integers(1, 300), st.integers(1, 300))
def test_spread_is_even(total, most):
    chosen = spread(range(total), most)
    assert len(chosen) == min(total, most) == len(set(chosen))
    edges = [-1 - chosen[0], *chosen, 2 * total - 1 - chosen[-1]]
    gaps = np.diff(edges)
    assert gaps.max() - gaps.min() <= 2


# The table


def test_the_fields_of_a_voice(tmp_path):
    (voice,) = corpus.read_voices(write_table(tmp_path / "t", ROW), "compact")
    assert (voice.gender, voice.languages, voice.expected_files) == ("f", ("de", "en"), 2)


@pytest.mark.parametrize(
    ("path", "matches"),
    [
        ("usr/share/ann/1.ogg", True),
        ("usr/share/ann/deep/er/1.ogg", True),
        ("usr/share/ann/tux-1.ogg", False),
        ("usr/share/ann/deep/tux-1.ogg", False),
        ("usr/share/more/a1.ogg", True),
        ("usr/share/more/a12.ogg", False),
        ("usr/share/more/A1.ogg", False),
        ("srv/usr/share/ann/1.ogg", False),
    ],
)
def test_patterns(tmp_path, path, matches):
    (voice,) = corpus.read_voices(write_table(tmp_path / "t", ROW), "full")
    assert voice.matches(path) is matches


def test_sets_nest(tmp_path):
    rows = [edited(speaker=name, set=name) for name in ("compact", "full", "fillets")]
    table = write_table(tmp_path / "t", *rows)
    names = {voices: [voice.speaker for voice in corpus.read_voices(table, voices)] for voices in corpus.SETS}
    assert names == {
        "compact": ["compact"],
        "fillets": ["compact", "fillets"],
        "full": ["compact", "fillets", "full"],
    }
    with pytest.raises(
        corpus.CorpusError, match=r"--voices must be one of compact, fillets, full, not 'all'"
    ):
        corpus.read_voices(table, "all")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sex", "X", "sex 'X' is neither F nor M"),
        ("split", "dev", "split 'dev' is not one of train, valid, test"),
        ("set", "tiny", "set 'tiny' is not one of compact, fillets, full"),
        ("files", "many", "files 'many' is not a number"),
        ("path_glob", "!a ; !b", "path_glob only excludes"),
        ("package", "", "a field is empty or missing"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(tmp_path, field, value, message):
    table = write_table(tmp_path / "t", ROW, edited(speaker="ben", **{field: value}))
    with pytest.raises(corpus.CorpusError) as error:
        corpus.read_voices(table, "compact")
    assert str(error.value) == f"{table}:3: {message}"


def test_a_speaker_twice_and_a_missing_column(tmp_path):
    with pytest.raises(corpus.CorpusError, match=":3: speaker ann is listed twice"):
        corpus.read_voices(write_table(tmp_path / "t", ROW, ROW), "compact")
    (tmp_path / "t").write_text("speaker\tsex\n")
    with pytest.raises(corpus.CorpusError, match=":1: no column lang, package, set, split, files, path_glob"):
        corpus.read_voices(tmp_path / "t", "compact")


def test_the_recipes_table():
    voices = corpus.read_voices(RECIPE / "conf/voices.tsv", "full")
    count = {
        name: [
            sum(v.split == split for v in corpus.read_voices(RECIPE / "conf/voices.tsv", name))
            for split in corpus.SPLITS
        ]
        for name in corpus.SETS
    }
    assert count == {"compact": [34, 5, 16], "fillets": [42, 5, 16], "full": [49, 8, 18]}
    assert len(corpus.packages_of(voices)) == 14


# Files


def test_find_files_takes_audio_in_folder_order_and_no_links(tmp_path):
    ann = "usr/share/ann"
    touch(
        tmp_path,
        f"{ann}/b.ogg",
        f"{ann}/a.WAV",
        f"{ann}/a/z.gsm",
        f"{ann}/a-b/1.g722",
        f"{ann}/readme.txt",
        f"{ann}/tux-1.ogg",
    )
    (tmp_path / ann / "link.ogg").symlink_to("b.ogg")
    (voice,) = corpus.read_voices(write_table(tmp_path / "t", ROW), "compact")
    assert corpus.find_files(tmp_path, [voice]) == {
        "ann": [f"{ann}/a.WAV", f"{ann}/b.ogg", f"{ann}/a/z.gsm", f"{ann}/a-b/1.g722"]
    }


def test_a_voice_without_files_and_a_file_of_two_voices(tmp_path):
    one, two = corpus.read_voices(write_table(tmp_path / "t", ROW, edited(speaker="ben")), "compact")
    with pytest.raises(corpus.CorpusError, match="no file of pkg matches the voice ann"):
        corpus.find_files(tmp_path, [one])
    touch(tmp_path, "usr/share/ann/1.ogg")
    with pytest.raises(corpus.CorpusError, match=r"usr/share/ann/1\.ogg: belongs to two voices, ann and ben"):
        corpus.find_files(tmp_path, [one, two])


def test_package_root_knows_both_layouts(tmp_path):
    touch(tmp_path, "one/pkg/usr/share/x", "all/usr/share/x")
    assert corpus.package_root(tmp_path / "one", "pkg") == tmp_path / "one/pkg"
    assert corpus.package_root(tmp_path / "all", "pkg") == tmp_path / "all"
    with pytest.raises(corpus.CorpusError, match=r"one: holds neither other/usr/share nor usr/share"):
        corpus.package_root(tmp_path / "one", "other")


# Rooms


def test_a_response_begins_with_its_direct_sound_and_decays():
    response = simulate_rirs.simulate(np.random.default_rng(3))
    assert response.dtype == np.float32
    assert np.argmax(np.abs(response)) == 16
    assert abs(response[16]) == 1.0
    assert 0.1 * 16000 <= len(response) <= 0.7 * 16000
    # 60 dB over its whole length means at least 20 dB between the first half and the last quarter.
    energy = np.square(response, dtype=np.float64)
    assert energy[: len(energy) // 2].sum() > 100 * energy[-len(energy) // 4 :].sum()
    np.testing.assert_array_equal(response, simulate_rirs.simulate(np.random.default_rng(3)))
