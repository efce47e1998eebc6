"""A stream of pieces gives what the model gives for the whole."""

import numpy as np
import pytest
import soxr
from averages import combine
from hypothesis import given, settings
from hypothesis import strategies as st

from svmixer.inference.stream import EmbeddingStream
from svmixer.inference.utterance import embed_utterance
from svmixer.inference.windows import utterance_windows

WINDOW, DIM = 50, 6
MIXING = np.random.default_rng(3).standard_normal((WINDOW, DIM)).astype(np.float32)


def embed_windows(windows):
    """A model for tests: a random map with a kink."""
    assert windows.ndim == 2 and windows.shape[1] == WINDOW and windows.dtype == np.float32
    assert len(windows) <= 16
    return np.abs(windows @ MIXING) + windows[:, :1]


def noise(num, seed=0):
    return np.random.default_rng(seed).standard_normal(num).astype(np.float32)


@settings(deadline=None)
@given(st.lists(st.integers(0, 120), min_size=1, max_size=12), st.integers(0, 10**6))
def test_equals_the_whole_however_it_is_cut(lengths, seed):
    wave = noise(sum(lengths) + 1, seed)
    stream = EmbeddingStream(embed_windows, WINDOW)
    for piece in np.split(wave, np.cumsum(lengths)):
        stream.push(piece)
    whole = embed_utterance(embed_windows, wave, WINDOW, "stream")
    np.testing.assert_allclose(stream.embedding(), whole, atol=1e-6)
    assert stream.windows == len(wave) // WINDOW and stream.num_samples == len(wave)


@given(st.integers(1, WINDOW), st.integers(1, 400))
def test_hop_by_a_second_implementation(hop, num):
    wave = noise(num)
    stream = EmbeddingStream(embed_windows, WINDOW, hop)
    completed = sum(stream.push(wave[start : start + 7]) for start in range(0, num, 7))
    starts = list(range(0, max(num - WINDOW, -1) + 1, hop))
    assert completed == stream.windows == len(starts)
    if num < WINDOW:
        windows = np.resize(wave, WINDOW)[None]
    else:
        if starts[-1] + WINDOW < num:
            starts.append(num - WINDOW)
        windows = np.stack([wave[start : start + WINDOW] for start in starts])
    rows = np.concatenate([embed_windows(row[None]) for row in windows])
    np.testing.assert_allclose(stream.embedding(), combine(rows, "whole"), atol=1e-6)


def test_asking_in_between_changes_nothing():
    wave = noise(333)
    asked, silent = (EmbeddingStream(embed_windows, WINDOW, 20) for _ in range(2))
    for start in range(0, 333, 10):
        asked.push(wave[start : start + 10])
        silent.push(wave[start : start + 10])
        so_far = asked.embedding()
        again = EmbeddingStream(embed_windows, WINDOW, 20)
        again.push(wave[: start + 10])
        np.testing.assert_allclose(so_far, again.embedding(), atol=1e-6)
    np.testing.assert_array_equal(asked.embedding(), silent.embedding())


def test_memory_does_not_grow():
    stream = EmbeddingStream(embed_windows, WINDOW, 10)
    for seed in range(300):
        stream.push(noise(97, seed))
        assert len(stream._recent) <= WINDOW and stream._recent.base is None


def test_score_and_enrolment():
    wave = noise(400)
    enrolled = embed_utterance(embed_windows, noise(200, 1), WINDOW, "whole")
    stream = EmbeddingStream(embed_windows, WINDOW, enrolled=enrolled)
    stream.push(wave)
    assert stream.score() == pytest.approx(float(stream.embedding() @ enrolled))
    with pytest.raises(ValueError, match="nobody is enrolled"):
        EmbeddingStream(embed_windows, WINDOW).score()


def test_another_rate_and_channels():
    stereo = np.stack([noise(2000, 1), noise(2000, 2)])
    expected = soxr.resample(stereo.mean(axis=0), 8000, 16000, quality="HQ")
    stream = EmbeddingStream(embed_windows, WINDOW, sample_rate=8000)
    for start in range(0, 2000, 130):
        stream.push(stereo[:, start : start + 130])
    stream.finish()
    assert stream.num_samples == len(expected) == 4000
    whole = embed_utterance(embed_windows, expected, WINDOW, "stream")
    np.testing.assert_allclose(stream.embedding(), whole, atol=1e-4)


def test_a_model(toy_model):
    wave = noise(3 * toy_model.window + 1234)
    stream = toy_model.stream()
    for piece in np.array_split(wave, 11):
        stream.push(piece)
    np.testing.assert_allclose(stream.embedding(), toy_model.embed(wave, protocol="stream"), atol=1e-5)


def cut(wave, sizes):
    """Pieces of the sizes, again and again."""
    start, number = 0, 0
    while start < len(wave):
        size = sizes[number % len(sizes)]
        yield wave[start : start + size]
        start, number = start + size, number + 1


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_few_samples_at_a_time(size):
    wave = noise(1203)
    stream = EmbeddingStream(embed_windows, WINDOW)
    for piece in cut(wave, [size]):
        stream.push(piece)
    whole = embed_utterance(embed_windows, wave, WINDOW, "stream")
    np.testing.assert_allclose(stream.embedding(), whole, atol=1e-6)


def test_bad_input():
    with pytest.raises(ValueError, match="hop must be 1 to 50 samples, found 51"):
        EmbeddingStream(embed_windows, WINDOW, 51)
    stream = EmbeddingStream(embed_windows, WINDOW)
    with pytest.raises(ValueError, match="empty: no samples"):
        stream.embedding()
    with pytest.raises(ValueError, match="non-finite"):
        stream.push(np.array([0.0, np.nan]))
    with pytest.raises(ValueError, match=r"bad shape: .* found \(1, 1, 2\)"):
        stream.push(np.zeros((1, 1, 2)))
    assert stream.num_samples == 0


def test_windows_of_the_protocol():
    windows = utterance_windows(np.arange(20), 8, "stream")
    assert windows[:, 0].tolist() == [0, 8, 12]
    assert utterance_windows(np.arange(16), 8, "stream")[:, 0].tolist() == [0, 8]


def test_windows_of_silence_do_not_count_beside_speech():
    wave = np.concatenate([np.zeros(5 * WINDOW, np.float32), noise(3 * WINDOW)])
    stream = EmbeddingStream(embed_windows, WINDOW)
    stream.push(wave)
    whole = embed_utterance(embed_windows, noise(3 * WINDOW), WINDOW, "stream")
    np.testing.assert_allclose(stream.embedding(), whole, atol=1e-6)


def test_a_finished_stream_takes_nothing_more():
    for sample_rate in (None, 8000):
        stream = EmbeddingStream(embed_windows, WINDOW, sample_rate=sample_rate)
        stream.push(noise(1000))
        stream.finish()
        with pytest.raises(ValueError, match="the stream is finished"):
            stream.push(noise(10))


@pytest.mark.parametrize("enrolled", [np.full(DIM, np.nan), np.zeros(DIM), np.ones((1, DIM)), np.ones(0)])
def test_embeddings_that_nothing_can_be_compared_with(enrolled):
    with pytest.raises(ValueError, match=r"expected an embedding \(D,\), finite and not all zero"):
        EmbeddingStream(embed_windows, WINDOW, enrolled=enrolled)


def test_the_length_of_the_enrolled_one_makes_no_difference():
    streams = [
        EmbeddingStream(embed_windows, WINDOW, enrolled=scale * np.arange(1.0, DIM + 1)) for scale in (1, 5)
    ]
    for stream in streams:
        stream.push(noise(100))
    assert streams[0].score() == pytest.approx(streams[1].score(), abs=1e-6) and abs(streams[0].score()) <= 1


@pytest.mark.parametrize("samples_first", [True, False])
def test_short_pieces_of_several_channels_lie_as_the_first_one(samples_first):
    wave = noise(200).reshape(100, 2)
    stream = EmbeddingStream(embed_windows, WINDOW)
    for piece in np.split(wave, [20, 21, 23, 23, 50]):
        stream.push(piece if samples_first else piece.T)
    whole = embed_utterance(embed_windows, wave.mean(axis=1), WINDOW, "stream")
    np.testing.assert_allclose(stream.embedding(), whole, atol=1e-6)


def test_pieces_that_do_not_show_their_channels():
    stream = EmbeddingStream(embed_windows, WINDOW)
    with pytest.raises(ValueError, match=r"bad shape: \(1, 2\) does not show which side"):
        stream.push(np.zeros((1, 2), np.float32))
    stream.push(noise(40).reshape(20, 2))
    with pytest.raises(ValueError, match="bad shape: 1 channels, and 2 before"):
        stream.push(noise(20))
    assert stream.num_samples == 20
