"""Ids that print alike but differ in their Unicode form (NFC, NFD): said with code points, and repaired."""

from __future__ import annotations

import pytest

from svmixer.lists import DataDirError, fix_data_dir, validate_data_dir
from svmixer.lists.forms import Forms, difference

NFC, NFD = "Ren\u00e9", "Rene\u0301"


@pytest.fixture
def folder(write):
    write("d/wav.scp", f"{NFD}-1 /c/1.wav\n{NFD}-2 /c/2.wav\nb-1 /c/3.wav\n")
    write("d/utt2spk", f"{NFD}-1 {NFC}\n{NFD}-2 {NFC}\nb-1 b\n")
    return write("d/spk2utt", f"{NFC} {NFD}-1 {NFD}-2\nb b-1\n").parent


def problems(folder) -> str:
    with pytest.raises(DataDirError) as error:
        validate_data_dir(folder)
    return str(error.value)


def test_a_difference_in_words():
    assert difference(f"{NFD}-1", f"{NFC}-1", "wav.scp") == (
        "prints like an id of wav.scp but has another Unicode form: U+0065 U+0301, there U+00E9"
    )
    # Korean syllables and their letters.
    assert difference("\u1112\u1161\u11ab", "\ud55c", "utt2spk").endswith(
        "U+1112 U+1161 U+11AB, there U+D55C"
    )
    assert Forms([NFC, "b"]).twin(NFD) == NFC
    assert Forms([NFC, NFD]).twin(NFC) is None
    assert Forms(["e"]).twin("e") is None


@pytest.mark.parametrize(("name", "value"), [("utt2spk", NFC), ("utt2lang", "fr")])
def test_another_form_in_a_list_of_utterances(folder, write, name, value):
    write(f"d/{name}", f"{NFD}-2 {value}\n{NFC}-1 {value}\nb-1 b\n")
    found = problems(folder)
    assert f"{name}:2: utterance {NFC}-1: not in wav.scp: prints like an id of wav.scp but has" in found
    assert "another Unicode form: U+00E9, there U+0065 U+0301; repair with: svmixer fix_data_dir" in found
    fix_data_dir(folder)
    assert validate_data_dir(folder).utterances == 3
    assert (folder / name).read_text() == f"{NFD}-1 {value}\n{NFD}-2 {value}\nb-1 b\n"


def test_another_form_in_trials(folder, write):
    write("d/trials", f"1 {NFC}-1 {NFC}-2\n0 {NFD}-1 b-1\n")
    assert "another Unicode form: U+00E9, there U+0065 U+0301" in problems(folder)
    fix_data_dir(folder)
    assert (folder / "trials").read_text() == f"1 {NFD}-1 {NFD}-2\n0 {NFD}-1 b-1\n"
    assert validate_data_dir(folder).trials == 2


def test_another_form_of_a_recording_in_segments(folder, write):
    write("d/segments", f"p-1 {NFC}-1 0 1\np-2 {NFC}-2 0 1\n")
    write("d/utt2spk", "p-1 a\np-2 a\n")
    write("d/spk2utt", "a p-1 p-2\n")
    found = problems(folder)
    assert "segments:1: utterance p-1: recording of the utterance is not in wav.scp (and 1 more)" in found
    assert "U+00E9, there U+0065 U+0301" in found
    fix_data_dir(folder)
    assert (folder / "segments").read_text() == f"p-1 {NFD}-1 0 1\np-2 {NFD}-2 0 1\n"
    assert validate_data_dir(folder).utterances == 2


def test_a_speaker_in_two_forms_is_one(folder, write):
    write("d/utt2spk", f"{NFD}-1 {NFC}\n{NFD}-2 {NFD}\nb-1 b\n")
    write("d/spk2utt", f"{NFD} {NFD}-2\n{NFC} {NFD}-1\nb b-1\n")
    write("d/spk2gender", f"{NFD} m\nb f\n")
    assert "prints like an id of an earlier line but has another Unicode form" in problems(folder)
    fix_data_dir(folder)
    assert validate_data_dir(folder).speakers == 2
    assert f"{NFC} {NFD}-1 {NFD}-2\n" in (folder / "spk2utt").read_text()
    assert f"{NFC} m\n" in (folder / "spk2gender").read_text()


def test_sound_lists_with_accents_stay_as_they_are(folder):
    validate_data_dir(folder)
    assert fix_data_dir(folder).changed == []
