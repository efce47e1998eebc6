"""Vectors of another system as targets: reading, centring, what is missing, and a training with them."""

import pickle

import numpy as np
import pytest
import torch

from svmixer.config import load
from svmixer.lists import write_table
from svmixer.losses.config import EmbeddingDistillConfig
from svmixer.scoring.vectors import EmbeddingError, write_vectors
from svmixer.training.config import TrainConfig
from svmixer.training.embedding_targets import EmbeddingTargets
from svmixer.training.speaker import SpeakerTask


def vectors(folder, rows):
    """Write {utterance: vector} as Kaldi vectors in two archives; the path of their scp."""
    rows = list(rows.items())
    table = write_vectors(folder / "a.ark", rows[:2]) + write_vectors(folder / "b.ark", rows[2:])
    write_table(folder / "vectors.scp", table)
    return str(folder / "vectors.scp")


def test_targets_are_centred_and_have_length_one(tmp_path):
    scp = vectors(tmp_path, {"a": [3.0, 4.0], "b": [0.0, 2.0], "c": [5.0, 0.0]})
    targets = EmbeddingTargets(EmbeddingDistillConfig(scp=scp), ["c", "a", "b"])
    # At length 1: (1, 0), (0.6, 0.8), (0, 1); their mean is (1.6, 1.8) / 3.
    assert targets.dim == 2
    assert targets.mean == pytest.approx([1.6 / 3, 0.6])
    apart = np.array([0.6 - 1.6 / 3, 0.2])
    assert targets[1] == pytest.approx(apart / np.linalg.norm(apart), rel=1e-6)
    assert targets[1].dtype == np.float32
    again = pickle.loads(pickle.dumps(targets))
    assert [again[row].tolist() for row in range(3)] == [targets[row].tolist() for row in range(3)]


def test_few_may_be_missing(tmp_path, caplog):
    scp = vectors(tmp_path, {"a": [1.0, 0.0], "b": [0.0, 1.0], "c": [1.0, 1.0]})
    config = EmbeddingDistillConfig(scp=scp, missing=0.25)
    targets = EmbeddingTargets(config, ["a", "b", "c", "d"])
    assert targets[3].tolist() == [0.0, 0.0]
    with pytest.raises(
        EmbeddingError,
        match=r"vectors.scp: 2 of 5 training utterances have no vector, 25.0% may lack one "
        r"\(embeddings.missing\): d, e$",
    ):
        EmbeddingTargets(config, ["a", "b", "c", "d", "e"])


def test_utterances_at_another_speed_have_targets_of_their_own_or_none(tmp_path):
    rows = {"a": [1.0, 0.0], "b": [0.0, 1.0], "a#sp0.9": [1.0, 1.0], "b#sp0.9": [-1.0, 0.0]}
    config = EmbeddingDistillConfig(scp=vectors(tmp_path, rows))
    targets = EmbeddingTargets(config, ["a", "b"], (0.9, 1.0, 1.1))
    mean = np.mean([[2**-0.5, 2**-0.5], [-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], axis=0)
    assert targets.mean == pytest.approx(mean)
    for row, vector in enumerate([[2**-0.5, 2**-0.5], [-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]):
        apart = np.array(vector) - mean
        assert targets[row] == pytest.approx(apart / np.linalg.norm(apart), rel=1e-6)
    assert targets[4].tolist() == targets[5].tolist() == [0.0, 0.0]
    short = vectors(tmp_path, dict(list(rows.items())[:3]))
    with pytest.raises(EmbeddingError, match=r"1 of 2 training utterances have no vector.*: b#sp0.9$"):
        EmbeddingTargets(EmbeddingDistillConfig(scp=short), ["a", "b"], (1.0, 0.9))


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ([1.0, 2.0, 3.0], "3 numbers, the first vector has 2"),
        ([0.0, 0.0], "not finite, or all zeros"),
        ([np.nan, 1.0], "not finite, or all zeros"),
        ([np.inf, 1.0], "not finite, or all zeros"),
    ],
)
def test_a_bad_vector_is_named(tmp_path, vector, message):
    scp = vectors(tmp_path, {"a": [1.0, 0.0], "b": [0.0, 1.0], "c": vector})
    with pytest.raises(EmbeddingError, match=f"vectors.scp: utterance c: .*{message}"):
        EmbeddingTargets(EmbeddingDistillConfig(scp=scp), ["a", "b", "c"])


@pytest.mark.parametrize("place", ["a.ark:2", "gone.ark:2", "a.wav"])
def test_a_place_that_holds_no_vector_is_named(tmp_path, place):
    scp = vectors(tmp_path, {"a": [1.0, 0.0], "b": [0.0, 1.0]})
    (tmp_path / "a.ark").write_bytes(b"no vector")
    write_table(tmp_path / "vectors.scp", [("a", str(tmp_path / place))])
    with pytest.raises(EmbeddingError, match=r"vectors.scp: utterance a: "):
        EmbeddingTargets(EmbeddingDistillConfig(scp=scp), ["a"])


@pytest.fixture
def toy_vectors(toy, tmp_path):
    rng = np.random.default_rng(0)
    names = [line.split()[0] for line in (toy / "train/utt2spk").read_text().splitlines()]
    return vectors(tmp_path, {name: rng.standard_normal(5) for name in names})


def test_items_carry_the_target_of_the_clean_utterance(toy, toy_vectors):
    task = SpeakerTask(load(TrainConfig, toy / "config.yaml", {"embeddings.scp": toy_vectors}))
    count = len(task.train_set.dump)
    targets = EmbeddingTargets(EmbeddingDistillConfig(scp=toy_vectors), task.train_set.dump.utterances)
    # The speeds are 0.9 and 1.0: another speed is another speaker, whom the other system has not heard.
    assert task.train_set[0, 3]["embedding_target"].tolist() == [0.0] * 5
    assert task.train_set[0, count + 3]["embedding_target"].tolist() == targets[3].tolist()


@pytest.mark.slow
def test_the_loss_is_part_of_the_whole_and_its_map_is_kept_beside_the_model(toy, toy_vectors, tmp_path):
    changed = {"embeddings.scp": toy_vectors, "embeddings.weight": "2.0"}
    task = SpeakerTask(load(TrainConfig, toy / "config.yaml", changed))
    items = [task.train_set[0, index] for index in (24, 30, 40)]
    batch = task.prepare({name: torch.stack([item[name] for item in items]) for name in items[0]})
    loss, metrics = task.module.eval()(batch)
    assert loss.item() == pytest.approx(
        (metrics["speaker"] + metrics["distill"] + 2.0 * metrics["embeddings"]).item(), rel=1e-6
    )
    task.finish(task.module.state_dict(), tmp_path / "out")
    again = SpeakerTask(
        load(TrainConfig, toy / "config.yaml", {**changed, "init_model": str(tmp_path / "out")})
    )
    assert torch.equal(again.module.embeddings.projection.weight, task.module.embeddings.projection.weight)


def test_many_archives_are_not_all_open(tmp_path, monkeypatch):
    from svmixer.training import embedding_targets

    monkeypatch.setattr(embedding_targets, "MAX_OPEN", 2)
    table = []
    for number in range(5):
        table += write_vectors(tmp_path / f"{number}.ark", [(f"u{number}", [1.0, float(number)])])
    write_table(tmp_path / "vectors.scp", table)
    config = EmbeddingDistillConfig(scp=str(tmp_path / "vectors.scp"))
    targets = EmbeddingTargets(config, [f"u{number}" for number in range(5)])
    assert len(targets._open) == 2
    first = [targets[row].tolist() for row in range(5)]
    assert first == [targets[row].tolist() for row in range(5)] and len(set(map(tuple, first))) == 5
