from pathlib import Path

import numpy as np
import pytest
import torch

from svmixer.audio.augment import AugmentConfig, Augmenter, SourceConfig
from svmixer.audio.dumpset import GRID, DumpSet
from svmixer.training.config import DataConfig
from svmixer.training.data import TrainSet


@pytest.fixture(scope="module")
def dump(toy):
    return DumpSet(toy / "train")


def test_crops_start_on_the_grid_and_are_the_utterances_samples(dump):
    index = int(np.argmax(dump.num_samples))
    whole = dump.read(index)
    starts = set()
    for seed in range(40):
        crop = dump.read_crop(index, 8000, np.random.default_rng(seed))
        matches = [
            s for s in range(0, len(whole) - 8000 + 1, GRID) if np.array_equal(whole[s : s + 8000], crop)
        ]
        assert matches
        starts.update(matches)
    assert len(starts) > 10 and min(starts) >= 0


def test_a_short_utterance_is_repeated(dump):
    index = int(np.argmin(dump.num_samples))
    whole = dump.read(index)
    assert len(whole) < 24000
    crop = dump.read_crop(index, 24000, np.random.default_rng(0))
    assert np.array_equal(crop, np.tile(whole, 4)[:24000])


def test_items_depend_on_seed_epoch_and_index_alone(dump):
    config = DataConfig(speeds=(0.9, 1.0, 1.1))
    augmenter = Augmenter(AugmentConfig(prob=1.0, sources=(SourceConfig("coloured"), SourceConfig("clip"))))
    one = TrainSet(dump, config, augmenter, 8000, seed=5)
    two = TrainSet(DumpSet(dump_folder(dump)), config, augmenter, 8000, seed=5)
    for index in (0, 30, 71, 3):
        two[(1, 7)]  # what was read before makes no difference
        for key in ("clean", "noisy", "label"):
            assert torch.equal(one[(2, index)][key], two[(2, index)][key])
    assert not torch.equal(one[(2, 0)]["noisy"], one[(3, 0)]["noisy"])
    assert not torch.equal(one[(2, 0)]["clean"], one[(2, 0)]["noisy"])


def dump_folder(dump):
    return Path(dump._paths[0].decode()).parent


def test_speeds_are_new_speakers(dump):
    items = TrainSet(dump, DataConfig(speeds=(0.9, 1.0)), None, 8000, seed=0)
    assert len(items) == 48 and len(items.names) == 8
    assert items.names[0] == "s00#sp0.9" and items.names[4] == "s00"
    assert items.labels[0] == 0 and items.labels[24] == 4 and items.labels[47] == 7
    assert items.counts().tolist() == [6] * 8
    assert torch.equal(items[(1, 30)]["clean"], items[(1, 30)]["noisy"])


def test_every_length_works_at_every_speed(dump):
    items = TrainSet(dump, DataConfig(speeds=(0.9, 0.95, 1.0, 1.05, 1.1)), None, 16000, seed=0)
    for index in range(len(items)):
        clean = items[(1, index)]["clean"]
        assert clean.shape == (16000,) and clean.dtype == torch.float32 and bool(torch.isfinite(clean).all())


def test_without_speakers_training_is_refused(dump, tmp_path):
    folder = dump_folder(dump)
    for name in ("wav.scp", "utt2num_samples"):
        (tmp_path / name).write_text((folder / name).read_text())
    with pytest.raises(ValueError, match="utt2spk is missing"):
        TrainSet(DumpSet(tmp_path), DataConfig(), None, 8000, seed=0)
