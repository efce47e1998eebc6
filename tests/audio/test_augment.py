"""The augmenter: what it draws, from where, and how it refuses bad configurations."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile

from svmixer.audio import effects
from svmixer.audio.augment import AugmentConfig, Augmenter, SourceConfig
from svmixer.audio.dumpset import DumpSet
from svmixer.audio.errors import AudioError
from svmixer.audio.noises import ListedRecordings, SpeakerDraw, excerpt, open_recordings
from svmixer.config import ConfigError, from_dict, load, save
from svmixer.lists import ListError, write_table
from svmixer.yaml_files import read_yaml

RATE = 16000
ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(ROOT.glob("conf/augment/*.yaml"))


class FakeDump:
    """What augmentation uses of a DumpSet; utterance u of speaker s is the constant 0.01·(u + 1)."""

    def __init__(self, speakers, length=1000):
        self.speakers = speakers
        self.utterances = [f"utt{number}" for number in range(len(speakers))]
        self.num_samples = np.full(len(speakers), length, dtype=np.int64)
        self.drawn = []

    def __len__(self):
        return len(self.utterances)

    def read(self, index, start=0, count=None):
        count = int(self.num_samples[index]) - start if count is None else count
        assert start >= 0 and start + count <= self.num_samples[index]
        self.drawn.append((index, start, count))
        return np.full(count, 0.01 * (index + 1), dtype=np.float32)


def speech(num=16000, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(num)).astype(np.float32)


def write_list(folder, waves, rate=RATE, speakers=None):
    """A directory with wav.scp (and, with speakers, the lists of a dump) for waves {name: array}."""
    folder.mkdir()
    for name, wave in waves.items():
        subtype = "FLOAT" if speakers is None else "PCM_16"
        soundfile.write(folder / f"{name}.wav", wave, rate, subtype=subtype)
    write_table(folder / "wav.scp", {name: str(folder / f"{name}.wav") for name in waves})
    if speakers is not None:
        write_table(folder / "utt2num_samples", {name: str(len(wave)) for name, wave in waves.items()})
        write_table(folder / "utt2spk", dict(zip(waves, speakers, strict=True)))
    return str(folder)


def only(kind, path="", babble=None, **options):
    """An augmenter that always applies one kind."""
    source = SourceConfig(kind, path=path, **options)
    return Augmenter(AugmentConfig(prob=1.0, sources=(source,)), babble)


def measured_snr(wave, augmented):
    added = augmented.astype(np.float64) - wave
    return 10 * np.log10(np.mean(wave.astype(np.float64) ** 2) / np.mean(added**2))


@pytest.fixture
def lists(tmp_path):
    """Lists of each kind."""
    response = np.zeros(400, np.float32)
    response[37] = 0.5
    spoken = {f"u{k}": 0.3 * speech(9000 + 1000 * k, k + 10) for k in range(6)}
    return {
        "rir": write_list(tmp_path / "rirs", {"room": response}),
        "babble": write_list(tmp_path / "dump", spoken, speakers=["a", "a", "b", "b", "c", "c"]),
        "music": write_list(tmp_path / "music", {"song": speech(50000, 1), "tune": speech(3000, 2)}),
        "noise": write_list(tmp_path / "noise", {"fan": speech(50000, 3), "door": speech(800, 4)}),
    }


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("babble", 13, 20), ("music", 5, 15), ("noise", 0, 15), ("coloured", 5, 20)]
)
def test_snr_lies_in_the_range_of_its_kind(lists, kind, low, high):
    augmenter, wave = only(kind, lists.get(kind, "")), speech()
    rng = np.random.default_rng(0)
    values = [measured_snr(wave, augmenter(wave, rng)) for _ in range(60)]
    assert low - 0.01 <= min(values) < low + 0.2 * (high - low)
    assert high - 0.2 * (high - low) < max(values) <= high + 0.01


@pytest.mark.parametrize("kind", ["babble", "music", "noise", "coloured"])
def test_given_snr_is_met_exactly(lists, kind):
    augmenter, wave = only(kind, lists.get(kind, ""), snr=(7.5, 7.5)), speech()
    rng = np.random.default_rng(0)
    for _ in range(5):
        assert measured_snr(wave, augmenter(wave, rng)) == pytest.approx(7.5, abs=0.01)


def test_room_list_keeps_alignment(lists):
    wave = speech()
    np.testing.assert_allclose(only("rir", lists["rir"])(wave, np.random.default_rng(0)), wave, atol=1e-6)


def test_clipping_between_03_and_09_of_the_peak():
    augmenter, wave, rng = only("clip"), speech(), np.random.default_rng(0)
    ratios = [np.abs(augmenter(wave, rng)).max() / np.abs(wave).max() for _ in range(100)]
    assert 0.3 <= min(ratios) < 0.35
    assert 0.85 < max(ratios) <= 0.9


ALL = ("rir", "babble", "music", "noise", "coloured", "clip")


AFTERWARDS = dict.fromkeys(("eq_prob", "codec_prob", "band_prob", "level_prob"), 0.5)


def everything(lists, **options):
    sources = tuple(SourceConfig(kind, path=lists.get(kind, "")) for kind in ALL)
    return Augmenter(AugmentConfig(sources=sources, **options))


def test_result_depends_on_the_generator_alone(lists):
    first, second = (everything(lists, **AFTERWARDS) for _ in range(2))
    second(speech(4000, 9), np.random.default_rng(99))  # what happened before does not matter
    second = pickle.loads(pickle.dumps(second))  # nor does being sent to a worker
    wave, seen = speech(), set()
    for seed in range(30):
        one = first(wave, np.random.default_rng(seed), "a")
        np.random.seed(seed)  # noqa: NPY002 (the global generator must not matter)
        two = second(wave, np.random.default_rng(seed), "a")
        assert one.dtype == np.float32
        assert one.shape == wave.shape
        assert np.array_equal(one, two)
        seen.add(one.tobytes())
    assert len(seen) > 15


def test_the_input_is_never_written_to(lists):
    augmenter, wave = (
        everything(lists, prob=1.0, **AFTERWARDS),
        speech(),
    )
    wave.flags.writeable = False
    rng = np.random.default_rng(0)
    for _ in range(40):
        augmenter(wave, rng, "a")


def test_silence_stays_silent_and_finite(lists):
    augmenter = everything(lists, prob=1.0, **AFTERWARDS)
    silence, rng = np.zeros(8000, np.float32), np.random.default_rng(0)
    for _ in range(40):
        assert np.array_equal(augmenter(silence, rng), silence)


@pytest.mark.parametrize(("prob", "low", "high"), [(0.0, 0, 0), (1.0, 500, 500), (0.8, 370, 430)])
def test_share_of_augmented_crops(prob, low, high):
    augmenter, wave, rng = Augmenter(AugmentConfig(prob=prob)), speech(500), np.random.default_rng(0)
    changed = sum(not np.array_equal(augmenter(wave, rng), wave) for _ in range(500))
    assert low <= changed <= high


def test_sources_are_drawn_by_weight():
    sources = (SourceConfig("coloured", weight=3.0), SourceConfig("clip", weight=1.0))
    augmenter, wave = Augmenter(AugmentConfig(prob=1.0, sources=sources)), speech(500)
    rng = np.random.default_rng(0)
    peak = np.abs(wave).max()
    clipped = 0
    for _ in range(2000):
        out = augmenter(wave, rng)
        clipped += np.count_nonzero(np.abs(out) == np.abs(out).max()) > 1 and np.abs(out).max() < peak
    assert clipped / 2000 == pytest.approx(0.25, abs=0.03)


def test_babble_leaves_the_speaker_out_and_mixes_four_to_seven():
    dump = FakeDump(["a"] * 5 + ["b"] * 3 + ["c"] * 2)
    augmenter, rng = only("babble", babble=dump), np.random.default_rng(0)
    counts, others = set(), set()
    for _ in range(200):
        dump.drawn.clear()
        augmenter(speech(600), rng, "b")
        counts.add(len(dump.drawn))
        others |= {index for index, _, _ in dump.drawn}
        assert all(count == 600 for _, _, count in dump.drawn)
    assert counts == {4, 5, 6, 7}
    assert others == {0, 1, 2, 3, 4, 8, 9}
    dump.drawn.clear()
    for _ in range(50):
        augmenter(speech(600), rng)
    assert {index for index, _, _ in dump.drawn} == set(range(10))


def test_babble_without_speakers_takes_everything():
    dump = FakeDump(["a"] * 6)
    dump.speakers = None
    augmenter, rng = only("babble", babble=dump), np.random.default_rng(0)
    for _ in range(50):
        augmenter(speech(600), rng, "a")
    assert {index for index, _, _ in dump.drawn} == set(range(6))


def test_babble_voices_are_equally_loud(monkeypatch):
    mixed = []
    monkeypatch.setattr(effects, "mix_at_snr", lambda wave, noise, snr: mixed.append(noise) or wave)
    dump = FakeDump(["a", "b", "c"])  # constants of different level: each becomes 1
    only("babble", babble=dump)(speech(600), np.random.default_rng(0))
    np.testing.assert_allclose(mixed[0], len(dump.drawn), rtol=1e-5)


def test_speaker_draws_are_uniform_over_the_others():
    speakers = ["b", "a", "b", "c", "a", "a"]
    draw, rng = SpeakerDraw(speakers), np.random.default_rng(0)
    counts = np.bincount([draw(rng, "a") for _ in range(3000)], minlength=6)
    assert counts[[1, 4, 5]].tolist() == [0, 0, 0]
    np.testing.assert_allclose(counts[[0, 2, 3]], 1000, atol=100)
    everyone = np.bincount([draw(rng, "nobody") for _ in range(3000)], minlength=6)
    np.testing.assert_allclose(everyone, 500, atol=90)


def test_real_dump(lists):
    dump = DumpSet(lists["babble"])
    augmenter, wave = only("babble", babble=dump), speech()
    out = augmenter(wave, np.random.default_rng(0), "a")
    same = only("babble", lists["babble"])(wave, np.random.default_rng(0), "a")
    assert np.array_equal(out, same)
    assert 13 - 0.01 <= measured_snr(wave, out) <= 20 + 0.01


def test_short_noise_is_looped_and_long_noise_cut(tmp_path):
    ramp = np.arange(1, 8, dtype=np.float32) / 10
    recordings = open_recordings(write_list(tmp_path / "noise", {"short": ramp}))
    looped = excerpt(recordings, 0, 20, np.random.default_rng(5))
    shift = int(np.argmin(np.abs(ramp - looped[0])))
    np.testing.assert_allclose(looped, np.tile(np.roll(ramp, -shift), 3)[:20])
    firsts = {round(10 * float(excerpt(recordings, 0, 20, np.random.default_rng(s))[0])) for s in range(60)}
    assert firsts == {1, 2, 3, 4, 5, 6, 7}
    starts = {round(10 * float(excerpt(recordings, 0, 3, np.random.default_rng(s))[0])) for s in range(60)}
    assert starts == {1, 2, 3, 4, 5}
    np.testing.assert_allclose(np.sort(excerpt(recordings, 0, 7, np.random.default_rng(0))), ramp)


def test_first_channel_of_several(tmp_path):
    stereo = np.stack([np.full(100, 0.5), np.full(100, -0.25)], axis=1).astype(np.float32)
    recordings = open_recordings(write_list(tmp_path / "noise", {"two": stereo}))
    assert excerpt(recordings, 0, 10, np.random.default_rng(0)).tolist() == [0.5] * 10


def test_only_the_needed_part_is_read(tmp_path, monkeypatch):
    recordings = open_recordings(write_list(tmp_path / "noise", {"long": speech(100000)}))
    asked = []
    real = soundfile.SoundFile.read

    def count(self, frames=-1, *args, **options):
        asked.append(frames)
        return real(self, frames, *args, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", count)
    excerpt(recordings, 0, 500, np.random.default_rng(0))
    assert sum(asked) == 500


def test_channel_effects_come_on_top():
    wave, rng = speech(48000), np.random.default_rng(0)
    config = AugmentConfig(prob=0.0, band_prob=1.0, band_low_hz=(0, 0), band_high_hz=(3000, 3000))
    spectrum = np.abs(np.fft.rfft(Augmenter(config)(wave, rng))) ** 2
    assert spectrum[3200 * 3 :].sum() < 1e-4 * spectrum[: 2800 * 3].sum()
    loud = Augmenter(AugmentConfig(prob=0.0, level_prob=1.0, level_db=(-6.0206, -6.0206)))(wave, rng)
    np.testing.assert_allclose(loud, 0.5 * wave, rtol=1e-5)


def test_unreadable_recordings_name_list_and_utterance(tmp_path):
    folder = write_list(tmp_path / "noise", {"eight": speech(800)}, rate=8000)
    with pytest.raises(AudioError, match=r"noise/wav.scp: utterance eight: 8000 Hz"):
        only("noise", folder)(speech(), np.random.default_rng(0))
    folder = write_list(tmp_path / "nan", {"bad": np.full(800, np.nan, np.float32)})
    with pytest.raises(AudioError, match=r"non-finite: .*nan/wav.scp: utterance bad"):
        only("noise", folder)(speech(), np.random.default_rng(0))
    (tmp_path / "nan" / "bad.wav").unlink()
    with pytest.raises(AudioError, match=r"missing file: .*utterance bad"):
        only("noise", folder)(speech(), np.random.default_rng(0))


def test_commands_in_a_list_are_not_run(tmp_path):
    (tmp_path / "wav.scp").write_text(f"x touch {tmp_path}/done |\n")
    with pytest.raises(AudioError, match="pipe forbidden"):
        only("noise", str(tmp_path / "wav.scp"))(speech(), np.random.default_rng(0))
    assert not (tmp_path / "done").exists()
    assert len(ListedRecordings(tmp_path / "wav.scp")) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"prob": 1.1}, "prob: must be between 0 and 1"),
        ({"sources": []}, "sources: none given"),
        ({"sources": [{"kind": "noise"}]}, "'noise' needs a list"),
        ({"sources": [{"kind": "clip", "path": "x"}]}, "'clip' reads no list"),
        ({"sources": [{"kind": "clip", "snr": [0, 5]}]}, "'clip' mixes nothing in"),
        ({"sources": [{"kind": "coloured", "snr": [9, 5]}]}, "snr: expected lowest and highest"),
        ({"sources": [{"kind": "coloured", "weight": 0}]}, "weight: must be positive"),
        ({"sources": [{"kind": "speech"}]}, "'speech' is not one of"),
        ({"sources": [{"kind": "clip", "wieght": 1}]}, "weight"),
        ({"band_low_hz": [0, 4000]}, "band_low_hz: must lie between 0 and band_high_hz"),
        ({"band_high_hz": [3000, 9000]}, "band_high_hz: must not exceed 8000"),
        ({"eq_prob": 2}, "eq_prob: must be between 0 and 1"),
        ({"codec_prob": -1}, "codec_prob: must be between 0 and 1"),
        ({"eq_db": -1}, "eq_db: must not be negative"),
        ({"level_db": [3, -3]}, "level_db: expected lowest and highest"),
    ],
)
def test_bad_configuration(data, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(AugmentConfig, data)


def test_configuration_from_a_file_section():
    sources = [{"kind": "noise", "path": "dump/noise", "snr": [0, 10]}, {"kind": "clip"}]
    config = from_dict(AugmentConfig, {"sources": sources})
    assert config.sources == (SourceConfig("noise", path="dump/noise", snr=(0.0, 10.0)), SourceConfig("clip"))


def test_missing_lists_are_named_at_construction(tmp_path, lists):
    with pytest.raises(ConfigError, match=r"sources\[0\] \(music\): no list at .*nowhere"):
        only("music", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"sources\[0\] \(babble\): path is empty"):
        only("babble")
    with pytest.raises(ConfigError, match=r"\(babble\): .*noise is no dump"):
        only("babble", lists["noise"])
    with pytest.raises(ConfigError, match="all utterances are of speaker a"):
        only("babble", babble=FakeDump(["a", "a"]))
    (tmp_path / "empty.scp").write_text("")
    with pytest.raises(ListError, match="empty"):
        only("noise", str(tmp_path / "empty.scp"))


def test_paths_follow_the_folder_of_the_dumps(tmp_path):
    """The placeholder is filled at once: a saved configuration names the lists. Literal paths stay."""
    listed = [{"kind": "rir", "path": "{dumpdir}/rirs"}, {"kind": "noise", "path": "dump/noise"}]
    sources = [*listed, {"kind": "clip"}]
    paths = [source.path for source in from_dict(AugmentConfig, {"sources": sources}).sources]
    assert paths == ["dump/rirs", "dump/noise", ""]
    config = from_dict(AugmentConfig, {"sources": sources, "dumpdir": "a {b}/d2"})
    assert [source.path for source in config.sources] == ["a {b}/d2/rirs", "dump/noise", ""]
    save(config, tmp_path / "saved.yaml")
    assert load(AugmentConfig, tmp_path / "saved.yaml") == config
    with pytest.raises(ConfigError, match=r"no list at d2/rirs.*\{dumpdir\} in a configured path"):
        Augmenter(from_dict(AugmentConfig, {"sources": sources, "dumpdir": "d2"}))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_augmentation_names_no_folder_of_dumps(path):
    sources = read_yaml(path)["sources"]
    listed = [source["path"] for source in sources if "path" in source]
    assert all(name.startswith("{dumpdir}/") for name in listed)
    augment = load(AugmentConfig, path, {"dumpdir": "a/d2"})
    assert [source.path.count("a/d2/") for source in augment.sources if source.path] == [1] * len(listed)


def test_trainings_name_their_augmentation():
    """What several trainings have in common stands in one file."""
    paths = [*ROOT.glob("conf/*/train_*.yaml"), *ROOT.glob("egs/*/sv1/conf/train_*.yaml")]
    named = {path: read_yaml(path)["augment"] for path in paths if path.parent.name != "espnet"}
    assert len(named) > 10
    assert {(ROOT / str(name)).resolve() for name in named.values()} <= set(SHIPPED), named
