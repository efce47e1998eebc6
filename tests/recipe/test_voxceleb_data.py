"""The VoxCeleb recipe's data stage on small trees in the layouts of the corpora's archives."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from svmixer.lists import read_table, read_trials, read_utt2spk, validate_data_dir

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "egs/voxceleb/sv1"
LOCAL = RECIPE / "local"
SETS = ("vox1_o", "vox1_e", "vox1_h", "voxsrc23_val", "vcmix", "voices_dev", "voices_eval")
AUG_SETS = ("musan_speech", "musan_music", "musan_noise", "rirs")
# What every run that trains asks for.
TRAINING = " ".join(("voxceleb2_dev", "valid", *AUG_SETS))

# Speaker → videos; names as YouTube gives them, with dashes and underscores.
VOX1_DEV = {
    "id10001": ("-a_B-cdefgh", "1zcIwhmdeo4"),
    "id10002": ("0_laIeN-Q44", "zzzzzzzzzz_"),
    "id11251": ("v1", "v2"),
}
VOX1_TEST = {"id10270": ("5r0dWxy17C8", "x6uYqmx31kE"), "id10271": ("1gtz-CUIygI",)}
VOX2_DEV = {"id00012": ("21Uxsk56VDQ", "_raOc3-IRsw"), "id00015": ("0fijmz4vTVU",), "id09272": ("u", "w")}

O_LIST = """\
1 id10270/x6uYqmx31kE/00001.wav id10270/5r0dWxy17C8/00002.wav
0 id10270/x6uYqmx31kE/00001.wav id10271/1gtz-CUIygI/00001.wav
1 id10271/1gtz-CUIygI/00001.wav id10271/1gtz-CUIygI/00002.wav
"""
E_LIST = """\
1 id10001/-a_B-cdefgh/00001.wav id10001/1zcIwhmdeo4/00002.wav
0 id10001/-a_B-cdefgh/00001.wav id10270/5r0dWxy17C8/00001.wav
"""
H_LIST = "0 id10002/0_laIeN-Q44/00001.wav id11251/v2/00002.wav\n1 id11251/v1/00001.wav id11251/v2/00002.wav\n"
SRC_LIST = "1 ab1.wav cd2.wav\n0 ab1.wav ef3.wav\n"
VCMIX_LIST = (
    "0 abjxc/00010.wav dlvpx/00002.wav\n1 id10270/x6uYqmx31kE/00001.wav id10270/5r0dWxy17C8/00001.wav\n"
)
ENROL = "Lab41-SRI-VOiCES-src-sp0083-ch003054-sg0002"
FAR = "Lab41-SRI-VOiCES-rm1-babb-sp{}-ch003054-sg0002-mc01-stu-clo-dg010"
DEV_KEYS = "".join(
    f"{ENROL} sid_dev/sp{speaker}/{FAR.format(speaker)}.wav {label}\n"
    for speaker, label in (("0083", "tgt"), ("0084", "imp"))
)
EVAL = "VOiCES_2019_Challenge_SID_eval_{:04d}"
EVAL_KEYS = f"{EVAL.format(1)} {EVAL.format(2)}.wav imp\n{EVAL.format(1)} {EVAL.format(3)}.wav tgt\n"


def write_wav(path: Path, seed: int = 0, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.1 * np.random.default_rng(seed).standard_normal(round(16000 * seconds))
    soundfile.write(path, wave, 16000, subtype="PCM_16")


def write_tree(folder: Path, speakers: dict[str, tuple[str, ...]], seconds: float = 0.5) -> None:
    for number, (speaker, videos) in enumerate(speakers.items()):
        for video in videos:
            for name in ("00001.wav", "00002.wav"):
                write_wav(folder / speaker / video / name, number, seconds)


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_corpora(folder: Path) -> None:
    """All corpora under the names that the recipe looks for."""
    write_tree(folder / "voxceleb1/dev/wav", VOX1_DEV)
    write_tree(folder / "voxceleb1/test/wav", VOX1_TEST)
    write_tree(folder / "voxceleb2/dev/aac", VOX2_DEV)
    # VoxCeleb2's test part unpacks beside dev; nobody trains with it.
    write_tree(folder / "voxceleb2/aac", {"id00017": ("01dfn2spqyE",)})
    for category, source in (("speech", "librivox"), ("music", "fma"), ("noise", "free-sound")):
        for number in range(2):
            write_wav(folder / f"musan/{category}/{source}/{category}-{source}-000{number}.wav", number)
        write_text(folder / f"musan/{category}/{source}/ANNOTATIONS", "text\n")
    for room in ("smallroom", "mediumroom", "largeroom"):
        write_wav(folder / f"RIRS_NOISES/simulated_rirs/{room}/Room001/Room001-00001.wav", seconds=0.1)
        write_text(folder / f"RIRS_NOISES/simulated_rirs/{room}/room_info", "text\n")
    write_wav(folder / "RIRS_NOISES/pointsource_noises/noise-free-sound-0000.wav")
    for name in ("ab1", "cd2", "ef3"):
        write_wav(folder / f"voxsrc23/VoxSRC2023_val/{name}.wav")
    write_text(folder / "voxsrc23/VoxSRC2023_val.txt", SRC_LIST)
    for name in ("abjxc/00010", "dlvpx/00002", "dlvpx/00010"):
        write_wav(folder / f"vcmix/voxconverse_test_SV/{name}.wav")
    part = folder / "voices/Development_Data/Speaker_Recognition"
    for speaker, name in (("0083", ENROL), ("0083", FAR.format("0083")), ("0084", FAR.format("0084"))):
        write_wav(part / f"sid_dev/sp{speaker}/{name}.wav")
    write_text(part / "sid_dev_lists_and_keys/dev-trial-keys.lst", DEV_KEYS)
    for number in (1, 2, 3):
        write_wav(folder / f"voices/Speaker_Recognition/sid_eval/{EVAL.format(number)}.wav")
    keys = "VOiCES_challenge_2019_post-eval-release/VOiCES_challenge_2019_eval.SID.trial-keys.lst"
    write_text(folder / "voices" / keys, EVAL_KEYS)
    lists = {"veri_test2.txt": O_LIST, "list_test_all2.txt": E_LIST, "list_test_hard2.txt": H_LIST}
    for name, text in {**lists, "vcmix_test.txt": VCMIX_LIST}.items():
        write_text(folder / "lists" / name, text)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("vox corpora") / "corpora"  # with a blank, as users have them
    make_corpora(folder)
    return folder


@pytest.fixture
def work(corpora, tmp_path) -> Path:
    """A work directory with a link to the corpora."""
    (tmp_path / "corpora").symlink_to(corpora)
    return tmp_path


@pytest.fixture
def own(corpora, tmp_path) -> Path:
    """A work directory with corpora of the test's own, to be changed."""
    shutil.copytree(corpora, tmp_path / "corpora")
    return tmp_path


def data_sh(work: Path, *options: object) -> subprocess.CompletedProcess:
    env = {**os.environ, "SVMIXER_VENV": sys.prefix}
    command = ["bash", LOCAL / "data.sh", *options]
    return subprocess.run(
        list(map(str, command)), cwd=work, env=env, capture_output=True, text=True, timeout=120, check=False
    )


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


@pytest.mark.recipe
def test_all_sets_by_value(work, monkeypatch):
    done = data_sh(work)
    assert done.returncode == 0, done.stderr
    data = work / "data"
    train = read_table(data / "voxceleb2_dev/wav.scp")
    assert list(train) == [
        f"{speaker}-{video}-{name}"
        for speaker, videos in VOX2_DEV.items()
        for video in sorted(videos)
        for name in ("00001", "00002")
    ]
    assert train["id00012-_raOc3-IRsw-00002"] == "corpora/voxceleb2/dev/aac/id00012/_raOc3-IRsw/00002.wav"
    assert set(read_utt2spk(data / "voxceleb2_dev/utt2spk").values()) == set(VOX2_DEV)

    assert lines(data / "vox1_o/trials") == [
        "1 id10270-x6uYqmx31kE-00001 id10270-5r0dWxy17C8-00002",
        "0 id10270-x6uYqmx31kE-00001 id10271-1gtz-CUIygI-00001",
        "1 id10271-1gtz-CUIygI-00001 id10271-1gtz-CUIygI-00002",
    ]
    assert lines(data / "vox1_o/wav.scp") == [
        f"{speaker}-{video}-{name} corpora/voxceleb1/test/wav/{speaker}/{video}/{name}.wav"
        for speaker, video, name in (
            ("id10270", "5r0dWxy17C8", "00002"),
            ("id10270", "x6uYqmx31kE", "00001"),
            ("id10271", "1gtz-CUIygI", "00001"),
            ("id10271", "1gtz-CUIygI", "00002"),
        )
    ]
    assert lines(data / "vox1_o/utt2spk")[0] == "id10270-5r0dWxy17C8-00002 id10270"
    # E is over both parts.
    assert lines(data / "vox1_e/wav.scp")[:3] == [
        "id10001--a_B-cdefgh-00001 corpora/voxceleb1/dev/wav/id10001/-a_B-cdefgh/00001.wav",
        "id10001-1zcIwhmdeo4-00002 corpora/voxceleb1/dev/wav/id10001/1zcIwhmdeo4/00002.wav",
        "id10270-5r0dWxy17C8-00001 corpora/voxceleb1/test/wav/id10270/5r0dWxy17C8/00001.wav",
    ]
    assert lines(data / "vox1_h/trials")[0] == "0 id10002-0_laIeN-Q44-00001 id11251-v2-00002"

    assert lines(data / "voxsrc23_val/trials") == ["1 ab1 cd2", "0 ab1 ef3"]
    assert lines(data / "vcmix/trials") == [
        "0 abjxc-00010 dlvpx-00002",
        "1 id10270-x6uYqmx31kE-00001 id10270-5r0dWxy17C8-00001",
    ]
    assert read_table(data / "vcmix/wav.scp") == {
        "abjxc-00010": "corpora/vcmix/voxconverse_test_SV/abjxc/00010.wav",
        "dlvpx-00002": "corpora/vcmix/voxconverse_test_SV/dlvpx/00002.wav",
        "id10270-5r0dWxy17C8-00001": "corpora/voxceleb1/test/wav/id10270/5r0dWxy17C8/00001.wav",
        "id10270-x6uYqmx31kE-00001": "corpora/voxceleb1/test/wav/id10270/x6uYqmx31kE/00001.wav",
    }
    assert lines(data / "voices_dev/trials") == [
        f"1 {ENROL} {FAR.format('0083')}",
        f"0 {ENROL} {FAR.format('0084')}",
    ]
    assert read_utt2spk(data / "voices_dev/utt2spk")[ENROL] == "sp0083"
    assert lines(data / "voices_eval/trials") == [
        f"0 {EVAL.format(1)} {EVAL.format(2)}",
        f"1 {EVAL.format(1)} {EVAL.format(3)}",
    ]
    # Nothing says who speaks there.
    assert not any((data / name / "utt2spk").exists() for name in ("voxsrc23_val", "vcmix", "voices_eval"))

    assert lines(data / "musan_noise/wav.scp") == [
        f"free-sound-noise-free-sound-000{k} corpora/musan/noise/free-sound/noise-free-sound-000{k}.wav"
        for k in (0, 1)
    ]
    assert lines(data / "rirs/wav.scp") == [
        f"{room}-Room001-Room001-00001 corpora/RIRS_NOISES/simulated_rirs/{room}/Room001/Room001-00001.wav"
        for room in ("largeroom", "mediumroom", "smallroom")
    ]
    monkeypatch.chdir(work)
    for name in ("voxceleb2_dev", "valid", *SETS, *AUG_SETS):
        validate_data_dir(data / name, check_files=True)
    # Every list's checksum and counts, and a warning for each that is not the published one.
    table = [line.split("\t") for line in lines(data / "local/trial_lists.tsv")]
    assert [row[0] for row in table[1:]] == list(SETS)
    digest = hashlib.md5(O_LIST.encode()).hexdigest()
    own_digest = hashlib.md5((data / "vox1_o/trials").read_bytes()).hexdigest()
    assert table[1] == ["vox1_o", "corpora/lists/veri_test2.txt", digest, "3", "2", "3", "2", "4", own_digest]
    assert digest in done.stdout
    assert "3 trials, 2 targets; the list of published figures has 37611 trials, 18802 targets" in done.stderr
    assert "voxceleb1: 5 of 1251 speakers, 9 of 22496 videos, 18 of 153516 utterances" in done.stderr
    assert "voxceleb2: 3 of 5994 speakers, 5 of 145569 videos, 10 of 1092009 utterances" in done.stderr


@pytest.mark.slow
@pytest.mark.recipe
def test_validation_sets(work):
    """Made from VoxCeleb1's dev part, held out from training, Vox1-O, or any list."""
    few = ("--sets", f"{TRAINING} vox1_o")
    assert data_sh(work, *few).returncode == 0
    trials = read_trials(work / "data/valid/trials")
    utt2spk = read_utt2spk(work / "data/valid/utt2spk")
    # One utterance a video, so one target pair a speaker with two videos, and as many impostor pairs.
    assert set(utt2spk.values()) == set(VOX1_DEV) and len(utt2spk) == 6
    assert (len(trials), int(trials.labels.sum())) == (6, 3)
    assert all(name.endswith("-00001") for name in utt2spk)

    done = data_sh(work, *few, "--valid", "voxceleb2", "--valid_speakers", 2)
    assert done.returncode == 0, done.stderr
    held_out = set(read_utt2spk(work / "data/valid/utt2spk").values())
    assert held_out == {"id00012", "id09272"}  # the two with two videos
    assert set(read_utt2spk(work / "data/voxceleb2_dev/utt2spk").values()) == {"id00015"}

    assert data_sh(work, *few, "--valid", "vox1_o").returncode == 0
    assert (work / "data/valid/trials").read_bytes() == (work / "data/vox1_o/trials").read_bytes()
    assert set(read_utt2spk(work / "data/voxceleb2_dev/utt2spk").values()) == set(VOX2_DEV)

    (work / "mine.txt").write_text(H_LIST)
    assert data_sh(work, *few, "--valid", "mine.txt").returncode == 0
    assert lines(work / "data/valid/trials")[1] == "1 id11251-v1-00001 id11251-v2-00002"


@pytest.mark.recipe
def test_all_that_is_missing_is_named_at_once(tmp_path):
    done = data_sh(tmp_path, "--rirs", "rooms")
    assert done.returncode == 1
    message = done.stderr
    assert "14 missing (nothing is downloaded" in message
    for corpus in ("voxceleb1", "voxceleb2", "musan", "voxsrc23", "vcmix", "voices"):
        assert f"corpora/{corpus} is not there" in message
        assert f"another place: --{corpus} DIR" in message
    assert "rooms is not there (simulated_rirs/" in message
    assert "for vox1_o, vox1_e, vox1_h, vcmix, validation" in message
    assert "no trial list of vox1_o: none of corpora/lists/{vox1_o.txt,veri_test2.txt}: get" in message
    assert "nor VoxSRC2023_val.txt below corpora/voxsrc23: get the validation set of VoxSRC 2023" in message
    assert not any((tmp_path / "data" / name).exists() for name in ("voxceleb2_dev", *SETS, *AUG_SETS))

    (tmp_path / "corpora/voxceleb2").mkdir(parents=True)
    done = data_sh(tmp_path, "--sets", f"{TRAINING} vox1_h", "--valid", "voxceleb2")
    assert "corpora/voxceleb2 holds no idXXXXX/VIDEO/00001.m4a" in done.stderr
    assert "4 missing" in done.stderr  # VoxCeleb1 and 2, MUSAN, the list


@pytest.mark.recipe
def test_partial_trees(own):
    shutil.rmtree(own / "corpora/voxceleb1/test/wav/id10271")
    few = ("--sets", f"{TRAINING} vox1_o")
    done = data_sh(own, *few)
    assert done.returncode == 1
    assert (
        "2 of 3 trials lack a recording (id10271/1gtz-CUIygI/00001.wav, id10271/1gtz-CUIygI/00002.wav)"
        in done.stderr
    )
    assert "more than --max_missing 0.02 allows" in done.stderr
    done = data_sh(own, *few, "--max_missing", 0.7)
    assert done.returncode == 0, done.stderr
    assert "2 of 3 trials dropped, 2 recordings are not there" in done.stderr
    assert len(read_trials(own / "data/vox1_o/trials")) == 1
    row = lines(own / "data/local/trial_lists.tsv")[1].split("\t")
    assert row[3:8] == ["3", "2", "1", "1", "2"]
    assert "voxceleb1: 4 of 1251 speakers" in done.stderr


@pytest.mark.recipe
def test_test_sets_alone(own):
    """To evaluate a model, what only training needs may be missing, and is not made."""
    for name in ("voxceleb2", "musan", "RIRS_NOISES"):
        shutil.rmtree(own / "corpora" / name)
    done = data_sh(own, "--sets", "vox1_o")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (own / "data").iterdir()) == ["local", "vox1_o"]
    assert len(read_trials(own / "data/vox1_o/trials")) == 3
    needs = data_sh(own, "--sets", f"{TRAINING} vox1_o")
    assert needs.returncode == 1 and "2 missing" in needs.stderr
    assert "corpora/voxceleb2 is not there" in needs.stderr and "corpora/musan is not there" in needs.stderr


@pytest.mark.recipe
def test_a_speaker_in_training_and_test_is_refused(own):
    shutil.copytree(own / "corpora/voxceleb1/test/wav/id10270", own / "corpora/voxceleb2/dev/aac/id10270")
    done = data_sh(own, "--sets", f"{TRAINING} vcmix")
    assert done.returncode == 1
    assert "1 speakers of vcmix are in the training data, too: id10270" in done.stderr


@pytest.mark.recipe
def test_known_and_uncleaned_lists(own):
    """A list of the published size passes in silence; that of the list before cleaning is recognised."""
    target, impostor, _ = O_LIST.splitlines(keepends=True)
    path = own / "corpora/lists/veri_test2.txt"
    path.write_text(target * 18802 + impostor * 18809)
    few = ("--sets", f"{TRAINING} vox1_o")
    done = data_sh(own, *few)
    assert done.returncode == 0, done.stderr
    assert "COMPARE" not in done.stderr
    path.write_text(target * 18860 + impostor * 18860)
    done = data_sh(own, *few)
    assert "(37720 is the number of veri_test.txt, the list before cleaning)" in done.stderr


@pytest.mark.slow
@pytest.mark.recipe
def test_bad_lists_are_explained(own):
    path = own / "corpora/lists/vox1_o.txt"  # a list by the set's own name comes first
    path.write_text("1 id10270/x6uYqmx31kE/00001.wav\n")
    done = data_sh(own, "--sets", f"{TRAINING} vox1_o")
    assert done.returncode == 1
    assert "corpora/lists/vox1_o.txt:1: expected '1|0 utterance1 utterance2'" in done.stderr
    path.write_text(O_LIST + "1 x.wav y.wav\n")
    done = data_sh(own, "--sets", f"{TRAINING} vox1_o")
    assert "corpora/lists/vox1_o.txt:4: 'x.wav': expected idXXXXX/VIDEO/00001.wav" in done.stderr
    keys = next(own.glob("corpora/voices/**/dev-trial-keys.lst"))
    keys.write_text(DEV_KEYS + "a b maybe\n")
    done = data_sh(own, "--sets", f"{TRAINING} voices_dev")
    assert "dev-trial-keys.lst:3: expected 'model recording tgt|imp', found 'a b maybe'" in done.stderr
    # The usual form is read for every set.
    (own / "corpora/lists/voices_dev.txt").write_text(f"0 {ENROL}.wav sp0084/{FAR.format('0084')}.wav\n")
    done = data_sh(own, "--sets", f"{TRAINING} voices_dev")
    assert done.returncode == 0, done.stderr
    assert lines(own / "data/voices_dev/trials") == [f"0 {ENROL} {FAR.format('0084')}"]
    write_wav(own / "corpora/voxsrc23/copy/ab1.wav")
    done = data_sh(own, "--sets", f"{TRAINING} voxsrc23_val")
    assert "VoxSRC2023_val.txt:1: ab1.wav: can be corpora/voxsrc23/VoxSRC2023_val/ab1.wav or" in done.stderr
    done = data_sh(own, "--sets", f"{TRAINING} vox1_x")
    assert done.returncode != 0 and "there is no 'vox1_x'" in done.stderr


@pytest.mark.slow
@pytest.mark.recipe
def test_rooms_are_simulated_without_rirs_noises(own):
    shutil.rmtree(own / "corpora/RIRS_NOISES")
    done = data_sh(own, "--sets", f"{TRAINING} vox1_o", "--num_rirs", 2, "--nj", 1)
    assert done.returncode == 0, done.stderr
    assert "simulating 2 rooms instead" in done.stdout
    table = read_table(own / "data/rirs/wav.scp")
    assert [soundfile.info(own / path).samplerate for path in table.values()] == [16000, 16000]


# Layouts and conversion


@pytest.fixture
def trees(monkeypatch):
    monkeypatch.syspath_prepend(str(LOCAL))
    import trees

    return trees


@pytest.mark.parametrize(
    ("there", "all_of_it", "dev_only"),
    [
        (["id10001"], ["."], ["."]),
        (["wav/id10001"], ["wav"], ["wav"]),
        (["aac/id00012"], ["aac"], ["aac"]),
        (["dev/wav/id10001", "test/wav/id10270"], ["dev/wav", "test/wav"], ["dev/wav"]),
        (["dev/aac/id00012", "aac/id00017"], ["aac", "dev/aac"], ["dev/aac"]),
        (["vox2_dev_aac/dev/aac/id00012", "vox2_test_aac/aac/id00017"],
         ["vox2_dev_aac/dev/aac", "vox2_test_aac/aac"], ["vox2_dev_aac/dev/aac"]),
        (["wav/id1", "wav/idx", "a/b/c/d/id10001"], [], []),
    ],
)  # fmt: skip
def test_layouts(trees, tmp_path, there, all_of_it, dev_only):
    for folder in there:
        (tmp_path / folder).mkdir(parents=True)
    for wanted, only in ((all_of_it, False), (dev_only, True)):
        assert trees.speaker_parents(tmp_path, only) == [tmp_path / name for name in wanted]


def test_wav_is_preferred_to_its_source(trees, tmp_path):
    for name in (
        "aac/id00012/v/00001.m4a",
        "wav/id00012/v/00001.wav",
        "aac/id00012/v/00002.m4a",
        "aac/id00012/v/x.txt",
    ):
        write_text(tmp_path / name, "")
    found = trees.scan_voxceleb(trees.speaker_parents(tmp_path, True))
    assert found == {
        "id00012-v-00001": f"{tmp_path}/wav/id00012/v/00001.wav",
        "id00012-v-00002": f"{tmp_path}/aac/id00012/v/00002.m4a",
    }
    assert trees.count(["id00012-a-b-00001", "id00012-a-b-00002", "id00012-c-00001"]) == trees.Counts(1, 2, 3)


@pytest.fixture
def m4a(tmp_path) -> Path:
    """One second of a 440 Hz tone as VoxCeleb2 codes it: AAC at 16 kHz, one channel."""
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg, which makes the M4A file, is not installed")
    path = tmp_path / "tone.m4a"
    source = ["-f", "lavfi", "-i", "sine=frequency=440:duration=1:sample_rate=16000"]
    command = ["ffmpeg", "-v", "error", *source, "-ac", "1", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def as_m4a(folder: Path, m4a: Path) -> None:
    """The tree with every recording replaced by the tone."""
    for path in folder.rglob("*.wav"):
        shutil.copy(m4a, path.with_suffix(".m4a"))
        path.unlink()


@pytest.mark.slow
@pytest.mark.recipe
def test_m4a_is_read_or_converted(own, m4a):
    as_m4a(own / "corpora/voxceleb2", m4a)
    few = ("--sets", f"{TRAINING} vox1_o", "--max_missing", 0.2)
    assert data_sh(own, *few).returncode == 0
    direct = read_table(own / "data/voxceleb2_dev/wav.scp")
    assert direct["id09272-w-00002"] == "corpora/voxceleb2/dev/aac/id09272/w/00002.m4a"

    # One file is damaged: it is listed and left out. VoxCeleb1 is WAV already and stays where it is.
    (own / direct["id09272-w-00002"]).write_bytes(m4a.read_bytes()[:100])
    done = data_sh(own, *few, "--convert", "true")
    assert done.returncode == 0, done.stderr
    table = read_table(own / "data/voxceleb2_dev/wav.scp")
    assert list(table) == [name for name in direct if name != "id09272-w-00002"]
    assert table["id00012-21Uxsk56VDQ-00001"] == "converted/voxceleb2/id00012/21Uxsk56VDQ/00001.wav"
    info = soundfile.info(own / table["id00012-21Uxsk56VDQ-00001"])
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
    wave, _ = soundfile.read(own / table["id00012-21Uxsk56VDQ-00001"])
    assert abs(len(wave) - 16000) <= 2048  # AAC codes blocks of 1024
    spectrum = np.abs(np.fft.rfft(wave[:16000]))
    assert abs(np.argmax(spectrum) * 16000 / len(wave[:16000]) - 440) < 2
    [failed] = lines(own / "data/local/voxceleb2_not_converted.tsv")
    assert failed.startswith("id09272-w-00002\tunreadable") and failed.endswith("id09272/w/00002.m4a")
    assert "1 of 10 files could not be converted" in done.stderr
    assert read_table(own / "data/vox1_o/wav.scp")["id10271-1gtz-CUIygI-00001"].startswith("corpora/")
    done = data_sh(own, "--sets", f"{TRAINING} vox1_o", "--convert", "true")
    assert done.returncode == 1 and "more than --max_missing 0.02 allows" in done.stderr


@pytest.mark.slow
def test_conversion_goes_on_after_a_kill(tmp_path, m4a):
    total = 150
    names = [f"id00012-v{k:03d}-00001" for k in range(total)]
    for k in range(total):
        (tmp_path / f"aac/id00012/v{k:03d}").mkdir(parents=True)
        shutil.copy(m4a, tmp_path / f"aac/id00012/v{k:03d}/00001.m4a")
    scp = "".join(f"{name} {tmp_path}/aac/id00012/{name.split('-')[1]}/00001.m4a\n" for name in names)
    write_text(tmp_path / "list.scp", scp)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    out = tmp_path / "wav"
    command = [sys.executable, LOCAL / "convert.py", "--scp", tmp_path / "list.scp", "--output_dir", out]
    process = subprocess.Popen(list(map(str, command)), env=env, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(out.rglob("0*.wav"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("0*.wav")}
    assert 3 <= len(before) < total
    assert not (out / "failed.1.tsv").exists()
    # Every file that has its name is whole.
    assert {soundfile.info(path).frames for path in before} == {soundfile.info(next(iter(before))).frames}
    # A half-written one of the kill, made here because the real one depends on the moment.
    half = out / f"id00012/v{total - 1}/.00001.wav.a1b2c3d4.tmp"
    write_text(half, "half")
    done = subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{total - len(before)} converted, {len(before)} there already, 0 failed" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(out.rglob("0*.wav"))) == total and not list(out.rglob("*.tmp"))


# The recipe in the pipeline


def test_run_sh_calls_the_driver(tmp_path):
    """Its options are the driver's, its sets those that data.sh makes; the caller's own options come last."""
    root = tmp_path / "project"
    shutil.copytree(RECIPE, root / "egs/voxceleb/sv1")
    (root / "run.sh").write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    (root / "run.sh").chmod(0o755)
    done = subprocess.run(
        [root / "egs/voxceleb/sv1/run.sh", "--ngpu", "4"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    arguments = done.stdout.splitlines()
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    known = subprocess.run([ROOT / "run.sh", "--help"], capture_output=True, text=True, check=True).stdout
    assert all(f"  {option} " in known for option in given)
    assert given["--test_sets"].split() == list(SETS) and given["--aug_sets"].split() == list(AUG_SETS)
    assert (given["--train_set"], given["--valid_set"]) == ("voxceleb2_dev", "valid")
    assert arguments[-2:] == ["--ngpu", "4"]


@pytest.mark.parametrize("name", ["train_distill", "train_speaker"])
def test_configurations_are_the_papers(name):
    """But for what no result depends on."""
    from svmixer.config import load
    from svmixer.training.config import TrainConfig

    own, paper = (
        load(TrainConfig, folder / f"{name}.yaml") for folder in (RECIPE / "conf", ROOT / "conf/paper")
    )
    assert replace(own, loop=paper.loop) == paper
    assert replace(own.loop, workers=2, save_every=100, log_every=20) == paper.loop


def stage(work: Path, script: str, *options: str) -> str:
    env = {**os.environ, "SVMIXER_VENV": sys.prefix}
    command = ["bash", str(ROOT / "stages" / script), "--nj", "1", *options]
    done = subprocess.run(
        command, cwd=work, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.recipe
def test_through_data_dump_and_score(own, m4a):
    """Stages 1, 2 and 5 on the recipe's own names, with M4A read directly and a random model."""
    import json

    import torch
    import yaml

    from svmixer.config import load
    from svmixer.models.config import ModelConfig
    from svmixer.models.io import save_model
    from svmixer.models.speaker_model import SpeakerModel

    sys.path.insert(0, str(ROOT / "tests/training"))
    from toy import write_config

    as_m4a(own / "corpora/voxceleb2", m4a)
    sets = ("--train_set", "voxceleb2_dev", "--valid_set", "valid", "--aug_sets", " ".join(AUG_SETS))
    tests = ("--test_sets", " ".join(SETS))
    stage(own, "01_data.sh", "--recipe", str(RECIPE), *sets, *tests)
    stage(own, "02_dump.sh", *sets, *tests)
    assert len(lines(own / "dump/voxceleb2_dev/utt2num_samples")) == 10
    assert len(lines(own / "dump/rirs/wav.scp")) == 3

    # Augmentation as the recipe configures it finds what stage 2 has made.
    from svmixer.audio.augment import Augmenter
    from svmixer.training.config import TrainConfig

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(own)
        augmenter = Augmenter(load(TrainConfig, RECIPE / "conf/train_speaker.yaml").augment)
        wave = np.random.default_rng(0).standard_normal(48000).astype(np.float32)
        changed = [augmenter(wave, np.random.default_rng(k)) for k in range(20)]
    assert all(len(new) == 48000 and np.isfinite(new).all() for new in changed)
    assert 10 <= sum(not np.array_equal(new, wave) for new in changed) < 20

    write_config(own / "toy.yaml", own)
    (own / "model.yaml").write_text(yaml.safe_dump(yaml.safe_load((own / "toy.yaml").read_text())["model"]))
    torch.manual_seed(0)
    model = SpeakerModel(load(ModelConfig, own / "model.yaml"))
    save_model(model, own / "exp/toy/train/model", ["a"])
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    marker = ["write", "exp/toy/train/.done", "--stage", "train"]
    subprocess.run([sys.executable, "-m", "svmixer", "done", *marker], cwd=own, env=env, check=True)
    config = ("--recipe", str(RECIPE), "--score_config", "conf/score.yaml", "--train_set", "voxceleb2_dev")
    scored = {"vox1_o": (3, 2), "vcmix": (2, None), "voices_dev": (2, 2)}  # trials, speakers
    stage(own, "05_score.sh", "--tag", "toy", *config, "--test_sets", " ".join(scored))
    for name, (trials, speakers) in scored.items():
        metrics = json.loads((own / f"exp/toy/score/{name}/metrics.json").read_text())
        assert (metrics["set"], metrics["trials"], metrics["protocol"]) == (name, trials, "crops")
        assert (metrics["bootstrap"] or {"speakers": None})["speakers"] == speakers
        assert metrics["trials_md5"] == hashlib.md5((own / f"data/{name}/trials").read_bytes()).hexdigest()
