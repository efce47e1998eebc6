"""The fixer: what it repairs, what it leaves to the owner, and that nothing is lost."""

from __future__ import annotations

import pytest

from svmixer.lists import Dropped, ListError, fix_data_dir, validate_data_dir


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_sound_directory_stays_as_it_is(data_dir):
    before = contents(data_dir)
    report = fix_data_dir(data_dir)
    assert (report.changed, report.dropped) == ([], [])
    assert report.sizes == {"wav.scp": 4, "utt2spk": 4, "utt2lang": 4, "spk2utt": 2, "trials": 4}
    assert contents(data_dir) == before


def test_everything_at_once(write):
    folder = write(
        "d/wav.scp", b"\xef\xbb\xbfb-1\t/b 1.wav \r\na-1  /a1.wav\r\n\r\na-1 /a1.wav\nc-1 /c.wav"
    ).parent
    write("d/utt2spk", "b-1 b\n a-1 a\na-2 a\nb-1 b\nd-1\n")
    write(
        "d/trials",
        "nontarget b-1 a-1\r\ntarget a-1 a-2\nnontarget a-1 b-1\nnontarget b-1 a-1\ntarget a-1 a-1\n",
    )
    originals = contents(folder)
    report = fix_data_dir(folder)
    assert (folder / "wav.scp").read_text() == "a-1 /a1.wav\nb-1 /b 1.wav\n"
    assert (folder / "utt2spk").read_text() == "a-1 a\nb-1 b\n"
    assert (folder / "spk2utt").read_text() == "a a-1\nb b-1\n"
    assert (folder / "trials").read_text() == "0 b-1 a-1\n0 a-1 b-1\n0 b-1 a-1\n"
    assert report.dropped == [
        Dropped("wav.scp", "repeated line", 1, "a-1"),
        Dropped("utt2spk", "repeated line", 1, "b-1"),
        Dropped("utt2spk", "no value", 1, "d-1"),
        Dropped("utt2spk", "not in wav.scp", 1, "a-2"),
        Dropped("wav.scp", "not in utt2spk", 1, "c-1"),
        Dropped("trials", "utterance not in the set", 1, "a-2"),
        Dropped("trials", "utterance against itself", 1, "a-1"),
    ]
    assert report.sizes == {"wav.scp": 2, "utt2spk": 2, "spk2utt": 2, "trials": 3}
    assert {name: (folder / ".backup" / name).read_bytes() for name in originals} == originals
    assert validate_data_dir(folder).trials == 3
    assert fix_data_dir(folder).changed == []


def test_old_macintosh_line_ends(write):
    folder = write("d/wav.scp", "b y\ra x\r").parent
    fix_data_dir(folder)
    assert (folder / "wav.scp").read_text() == "a x\nb y\n"


def test_backups_are_never_overwritten(write):
    folder = write("d/wav.scp", "b y\na x\n").parent
    fix_data_dir(folder)
    write("d/wav.scp", "d y\nc x\n")
    fix_data_dir(folder)
    write("d/wav.scp", "b y\na x\n")
    fix_data_dir(folder)
    backups = {path.name: path.read_text() for path in (folder / ".backup").iterdir()}
    assert backups == {"wav.scp": "b y\na x\n", "wav.scp.1": "d y\nc x\n"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("utt2spk", "a-1 a\na-2 a\na-1 b\n", r"utt2spk:3: utterance a-1: id is listed twice, with different"),
        ("wav.scp", "a-1 x\na-1 y\n", r"wav.scp:2: utterance a-1: id is listed twice, with different"),
        ("wav.scp", b"a-1 x\na-2 \xe9\n", r"wav.scp:2: not UTF-8"),
        ("wav.scp", "a-1 x\na-2 |\n", r"wav.scp:2: utterance a-2: '\|' is not a recording"),
        ("utt2spk", "a-1 a\na-2 a b\n", r"utt2spk:2: utterance a-2: expected one speaker"),
        ("utt2spk", "z-1 z\n", r"no utterance is in all of: wav.scp, utt2spk"),
        ("trials", "1 a-1 a-2\n\n0 a-2 a-1\n", r"trials:3: utterance a-2: the pair stands earlier"),
        ("trials", "1 a-1 a-2\n\n1 a-2 b-1\n", r"trials:3: utterance a-2: label and utt2spk disagree"),
        ("trials", "1 a-1 a-1\n", r"trials: no trial is left: 1 utterance against itself"),
        (
            "trials",
            "0 a-1 modelX\n\n0 y a-1\n",
            r"trials:1: utterance modelX: no trial is left: .* \(and 1 more\): 'mod",
        ),
        ("trials", "a-1 a-2\n", r"trials:1: expected"),
    ],
)
def test_what_only_the_owner_can_decide(data_dir, name, content, message):
    (data_dir / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = contents(data_dir)
    with pytest.raises(ListError, match=message):
        fix_data_dir(data_dir)
    assert contents(data_dir) == before


def test_missing_lists(write, tmp_path):
    with pytest.raises(ListError, match=r"wav.scp: missing"):
        fix_data_dir(tmp_path / "absent")
    folder = write("d/wav.scp", "a x\n").parent
    write("d/spk2utt", "a a\n")
    with pytest.raises(ListError, match=r"utt2spk: missing"):
        fix_data_dir(folder)


def test_segments(write):
    folder = write("d/wav.scp", "r2 y\nr1 x\nr3 z\n").parent
    write("d/segments", "b r2 0 1\na r1 1 0.5\nc r9 0 1\nd r1 0 -1\ne r1 0 1\n")
    write("d/utt2spk", "b B\nc C\nd D\na A\n")
    report = fix_data_dir(folder)
    assert (folder / "segments").read_text() == "b r2 0 1\nd r1 0 -1\n"
    assert (folder / "wav.scp").read_text() == "r1 x\nr2 y\nr3 z\n"
    assert (folder / "spk2utt").read_text() == "B b\nD d\n"
    assert report.dropped[:3] == [
        Dropped("segments", "unusable value", 1, "a: end 0.5 is not after start 1"),
        Dropped("segments", "recording not in wav.scp", 1, "c"),
        Dropped("utt2spk", "not in segments", 2, "c"),
    ]
    validate_data_dir(folder)


def test_other_lists_follow(data_dir):
    (data_dir / "wav.scp").write_text("a-1 x\na-2 y\n")
    (data_dir / "trials").write_text("1 a-1 a-2\n")
    (data_dir / "spk2gender").write_text("b f\na m\n")
    fix_data_dir(data_dir)
    assert (data_dir / "utt2lang").read_text() == "a-1 en\na-2 fr\n"
    assert (data_dir / "spk2gender").read_text() == "a m\n"
    validate_data_dir(data_dir)


def test_voxceleb_paths_become_utterances(write):
    folder = write("d/wav.scp", "id1-v-1 x\nid1-v-2 y\nid2-w-1 z\n").parent
    write("d/utt2spk", "id1-v-1 a\nid1-v-2 a\nid2-w-1 b\nid3-w-1 c\n")
    write("d/trials", "1 id1/v/1.wav id1/v/2.wav\n0 id1/v/1.wav id2/w/1.wav\n0 id1/v/1.wav id3-w-1\n")
    report = fix_data_dir(folder)
    assert (folder / "trials").read_text() == "1 id1-v-1 id1-v-2\n0 id1-v-1 id2-w-1\n"
    assert report.dropped == [
        Dropped("utt2spk", "not in wav.scp", 1, "id3-w-1"),
        Dropped("trials", "utterance not in the set", 1, "id3-w-1"),
    ]
    validate_data_dir(folder)


def test_utterance_that_looks_like_a_path_stays(write):
    folder = write("d/wav.scp", "a x\na.wav y\nb z\n").parent
    write("d/trials", "1 a.wav a\n0 b.wav a.wav\n")
    fix_data_dir(folder)
    assert (folder / "trials").read_text() == "1 a.wav a\n0 b a.wav\n"


def test_missing_files(write, tmp_path):
    sound = write("a.wav", "1")
    folder = write("d/wav.scp", f"a {sound}\nb {tmp_path}/b.wav\nc cat x |\nd {sound}:8\n").parent
    assert fix_data_dir(folder).dropped == []
    assert fix_data_dir(folder, check_files=True).dropped == [Dropped("wav.scp", "file is missing", 2, "b")]
    assert (folder / "wav.scp").read_text() == f"a {sound}\nc cat x |\n"
    validate_data_dir(folder, check_files=True)


def test_trials_of_what_goes_go_with_it(write, tmp_path):
    """They are counted; a path of a recording that goes is known, too."""
    folder = write(
        "d/wav.scp", f"a {write('a.wav', '1')}\nb {write('b.wav', '1')}\nc {tmp_path}/c.wav\n"
    ).parent
    write("d/trials", f"1 a b\n0 a c\n0 {tmp_path}/c.wav b\n0 c b\n")
    report = fix_data_dir(folder, check_files=True)
    assert report.dropped[1:] == [Dropped("trials", "utterance not in the set", 3, "c")]
    assert (folder / "trials").read_text() == "1 a b\n"


def test_interrupted_before_the_renames(data_dir, monkeypatch):
    """All new files are complete before the first takes its name."""
    (data_dir / "wav.scp").write_text("b-1 x\na-1 y\n")
    before = contents(data_dir)
    import svmixer.lists.replace as replace

    opened = []

    def fail_at_third(path):
        opened.append(path)
        if len(opened) == 3:
            raise OSError("disk full")
        return atomic_write(path)

    atomic_write = replace.atomic_write
    monkeypatch.setattr(replace, "atomic_write", fail_at_third)
    with pytest.raises(OSError, match="disk full"):
        fix_data_dir(data_dir)
    after = contents(data_dir)
    assert {name: after[name] for name in before} == before
    assert {name for name in after if not name.startswith(".backup/")} == before.keys()


def test_list_that_covers_nothing_any_more_is_removed(data_dir):
    (data_dir / "spk2gender").write_text("z f\n")
    report = fix_data_dir(data_dir)
    assert (report.changed, report.sizes["spk2gender"]) == (["spk2gender"], 0)
    assert not (data_dir / "spk2gender").exists()
    assert (data_dir / ".backup/spk2gender").read_text() == "z f\n"
    validate_data_dir(data_dir)
