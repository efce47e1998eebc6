"""Utterances embedded together: in order, as if alone, in full batches and in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from averages import combine
from hypothesis import given, settings
from hypothesis import strategies as st

from svmixer.audio.dumpset import DumpSet
from svmixer.inference.utterance import (
    WINDOWS_AT_ONCE,
    Source,
    UtteranceError,
    embed_utterance,
    embed_utterances,
)
from svmixer.lists import write_table
from svmixer.scoring.utterances import extract

WINDOW, DIM = 50, 6
MIXING = np.random.default_rng(3).standard_normal((WINDOW, DIM)).astype(np.float32)
LENGTHS = st.lists(st.integers(1, 2000), min_size=1, max_size=30)


def noise(num, seed=0):
    return np.random.default_rng(seed).standard_normal(num).astype(np.float32)


def source(name, wave, reads=None):
    def read(first, count):
        assert first >= 0 and first + count <= len(wave) and count > 0
        if reads is not None:
            reads.append(count)
        return wave[first : first + count]

    return Source(name, len(wave), read)


class Model:
    """A random map with a kink that remembers the sizes of its batches."""

    def __init__(self):
        self.sizes = []

    def __call__(self, windows):
        assert windows.shape[1] == WINDOW and windows.dtype == np.float32
        self.sizes.append(len(windows))
        return np.abs(windows @ MIXING) + windows[:, :1]


@settings(deadline=None)
@given(LENGTHS, st.sampled_from(["crops", "whole", "stream"]), st.integers(1, 20))
def test_together_as_alone(lengths, protocol, num_crops):
    waves = {f"u{i}": noise(num, i) for i, num in enumerate(lengths)}
    model = Model()
    sources = [source(name, wave) for name, wave in waves.items()]
    found = list(embed_utterances(model, sources, WINDOW, protocol, num_crops))
    assert [name for name, _ in found] == list(waves), "the order is that of the list"
    for name, vector in found:
        alone = embed_utterance(Model(), waves[name], WINDOW, protocol, num_crops)
        assert vector.dtype == np.float32
        np.testing.assert_allclose(vector, alone, atol=1e-6)
    # Nothing is padded: every batch but the last is full, and there are as many rows as windows.
    assert all(size == WINDOWS_AT_ONCE for size in model.sizes[:-1])
    per_utterance = [
        1 if num <= WINDOW else num_crops if protocol == "crops" else -(-num // WINDOW) for num in lengths
    ]
    assert sum(model.sizes) == sum(per_utterance)


def test_memory_does_not_grow():
    """A recording of a million windows and a list without an end: reads stay short, results come at once."""
    reads = []
    length = 200_000 * WINDOW + 7
    long = Source("long", length, lambda first, count: reads.append(count) or np.ones(count, np.float32))
    ((_, vector),) = embed_utterances(Model(), [long], WINDOW, "whole")
    np.testing.assert_allclose(np.linalg.norm(vector), 1, atol=1e-6)
    assert max(reads) <= WINDOWS_AT_ONCE * WINDOW
    assert sum(reads) <= 1.01 * (length + WINDOW)

    taken = []

    def endless():
        number = 0
        while True:
            taken.append(number)
            yield source(str(number), noise(130, number))
            number += 1

    results = embed_utterances(Model(), endless(), WINDOW, "whole")
    for number in range(100):
        assert next(results)[0] == str(number)
        assert len(taken) - number <= WINDOWS_AT_ONCE


def test_crops_far_apart_are_read_one_by_one():
    reads = []
    wave = noise(1000 * WINDOW)
    embed = list(embed_utterances(Model(), [source("u", wave, reads)], WINDOW, "crops", 10))
    assert reads == [WINDOW] * 10
    np.testing.assert_allclose(embed[0][1], embed_utterance(Model(), wave, WINDOW, "crops", 10), atol=1e-6)


@pytest.mark.parametrize("protocol", ["crops", "whole", "stream"])
def test_with_a_model(toy_model, protocol):
    waves = [0.1 * noise(num, num) for num in (4800, 8000, 8001, 30000, 17, 150000)]
    sources = [source(str(i), wave) for i, wave in enumerate(waves)]
    for (_, vector), wave in zip(toy_model.embed_sources(sources, protocol, 7), waves, strict=True):
        expected = embed_utterance(toy_model.embed_windows, wave, toy_model.window, protocol, 7)
        np.testing.assert_allclose(vector, expected, atol=1e-6)


def test_errors_name_the_utterance():
    good = source("good", noise(60))
    with pytest.raises(UtteranceError, match="utterance none: empty waveform"):
        list(embed_utterances(Model(), [good, source("none", noise(0))], WINDOW))
    bad = noise(500)
    bad[123] = np.inf
    with pytest.raises(UtteranceError, match="utterance bad: samples that are not finite"):
        list(embed_utterances(Model(), [good, source("bad", bad)], WINDOW))


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.3, 0.5, 600.0])
def test_short_and_long_utterances_of_a_dump(toy_model, tmp_path, seconds):
    """0.3 s is repeated, ten minutes are read in pieces: as the API embeds them."""
    import soundfile

    wave = 0.1 * noise(round(16000 * seconds), 1)
    soundfile.write(tmp_path / "u.wav", wave, 16000, subtype="PCM_16")
    write_table(tmp_path / "wav.scp", {"u": str(tmp_path / "u.wav")})
    write_table(tmp_path / "utt2num_samples", {"u": str(len(wave))})
    dump = DumpSet(tmp_path)
    ((name, vector),) = extract(lambda s: toy_model.embed_sources(s, "whole"), dump, range(1))
    assert name == "u"
    np.testing.assert_allclose(vector, toy_model.embed(dump.read(0)), atol=1e-6)


def test_windows_of_silence_do_not_count_beside_speech():
    speech = noise(3 * WINDOW)
    silent = np.concatenate([np.zeros(5 * WINDOW, np.float32), speech, 1e-4 * noise(2 * WINDOW)])
    for protocol in ("whole", "stream"):
        expected = embed_utterance(Model(), speech, WINDOW, protocol)
        np.testing.assert_allclose(embed_utterance(Model(), silent, WINDOW, protocol), expected, atol=1e-6)
    # The paper's crops are taken as they are, and a recording that is soft throughout is no silence.
    assert not np.allclose(
        embed_utterance(Model(), silent, WINDOW, "crops"), embed_utterance(Model(), speech, WINDOW, "crops")
    )
    soft = 1e-4 * noise(3 * WINDOW)
    rows = Model()(soft.reshape(3, WINDOW))
    np.testing.assert_allclose(
        embed_utterance(Model(), soft, WINDOW, "whole"), combine(rows, "whole"), atol=1e-6
    )
