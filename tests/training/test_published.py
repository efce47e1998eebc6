"""conf/paper and conf/released hold the two published trainings, and what claims to be one of them is it."""

from dataclasses import replace
from pathlib import Path

import pytest

from svmixer.audio.augment_config import SourceConfig
from svmixer.config import load
from svmixer.losses.config import AAMConfig, DistillConfig
from svmixer.scoring.config import ScoringConfig
from svmixer.training.config import TrainConfig

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"


@pytest.mark.parametrize("name", ["train_distill", "train_speaker"])
def test_the_papers_training(name):
    config = load(TrainConfig, CONF / f"paper/{name}.yaml")
    student, loop, schedule = config.model.student, config.loop, config.loop.schedule
    assert (student.layers, student.hidden, student.window) == (5, 1024, 3 * 16000)
    assert (config.teacher, config.data.speeds, config.distill) == ("WAVLM_LARGE", (1.0,), DistillConfig())
    assert (loop.batch_size, loop.lr, loop.weight_decay, loop.clip, loop.phases) == (128, 2e-4, 2e-5, 0.0, ())
    assert (schedule.kind, schedule.factor, schedule.patience, schedule.stop_after) == ("plateau", 0.5, 5, 10)
    assert loop.keep_best == 1
    assert [source.kind for source in config.augment.sources] == ["rir", "music", "noise"]


def test_the_papers_speaker_loss_and_scoring():
    config = load(TrainConfig, CONF / "paper/train_speaker.yaml")
    assert config.speaker == AAMConfig(
        margin=0.2, scale=30.0, top_k=5, top_k_mode="weight", top_k_weight=10.0
    )
    assert (config.model.backend.name, config.model.backend.embedding) == ("ecapa", 192)
    assert (config.valid.protocol, config.valid.num_crops) == ("crops", 10)
    scoring = load(ScoringConfig, CONF / "paper/score.yaml")
    assert (scoring.protocol, scoring.num_crops) == ("crops", 10)


def test_the_released_training():
    config = load(TrainConfig, CONF / "released/train_speaker.yaml")
    loop = config.loop
    assert (loop.batch_size, loop.epoch_steps, loop.clip, loop.keep_best) == (128, 2000, 10.0, 1)
    adamw, sgd = loop.phases
    assert (adamw.optimizer, adamw.steps, adamw.warmup_steps) == ("adamw", 32_000, 2000)
    assert (adamw.start_lr, adamw.lr) == (1e-4, 1e-3)
    assert (sgd.optimizer, sgd.momentum, sgd.lr, sgd.final_lr) == ("sgd", 0.9, 0.1, 1e-4)
    assert sgd.steps - sgd.warmup_steps == 9 * 30_000 and adamw.steps + sgd.steps == 304_000
    speaker = AAMConfig(
        margin=0.2, scale=30.0, top_k=5, top_k_mode="angle", top_k_margin=0.1, class_weights=True
    )
    assert config.speaker == speaker
    assert config.distill == DistillConfig("distilhubert", 1.0, (8, 16, 24), 1.0, "sum")
    assert config.augment.prob == 0.8
    assert config.augment.sources == (
        SourceConfig("rir", path="dump/rirs"),
        SourceConfig("babble", path="dump/musan_speech", snr=(13.0, 20.0)),
        SourceConfig("music", path="dump/musan_music", snr=(5.0, 15.0)),
        SourceConfig("noise", path="dump/musan_noise", snr=(0.0, 15.0)),
        SourceConfig("coloured", snr=(5.0, 20.0)),
        SourceConfig("clip"),
    )


@pytest.mark.parametrize("name", ["train_distill", "train_speaker"])
def test_what_recipes_without_a_file_take_is_the_papers_but_for_recordings(name):
    own, paper = (load(TrainConfig, CONF / f"{folder}{name}.yaml") for folder in ("", "paper/"))
    assert replace(own, augment=paper.augment) == paper
    assert not any(source.path for source in own.augment.sources)


@pytest.mark.parametrize("path", sorted([*CONF.glob("paper/*"), *CONF.glob("released/*")]), ids=str)
def test_every_value_has_its_source(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        names_a_file = line.startswith("augment: conf/augment/")
        if line.startswith("#") or line.endswith(":") or names_a_file:
            continue
        assert any(f"# {source}" in line for source in ("paper: ", "released", "ours")), line
