"""Embeddings of the JavaScript module against those of the Python package, with the models that it ships."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from node_side import needs_node, needs_runtime, run_js
from voices import HIGH, LOW, RATE, voice

from svmixer.audio.speech import SpeechMeter
from svmixer.inference.embedding_model import ASSETS
from svmixer.inference.verification import enrol, verify_calibrated
from svmixer.runtime import load_onnx
from svmixer.scoring.embedder import load_embedder
from svmixer.scoring.recordings import embed_recording

pytestmark = [needs_node, needs_runtime, pytest.mark.slow]

LOWEST = 0.9999  # cosine


@pytest.fixture(scope="module")
def pocket():
    return load_onnx("pocket")


def directory(name: str) -> str:
    return str(ASSETS / name)


def waves() -> dict[str, tuple[np.ndarray, int]]:
    """Name → channels, rate: odd lengths, below a window, several windows, pauses, other rates."""
    # Below -60 dB, but not nothing: three windows that would change the mean.
    hiss = (1e-4 * np.random.default_rng(0).standard_normal(9 * RATE)).astype(np.float32)
    paused = np.concatenate([voice(LOW, 2, 50001), hiss, voice(LOW, 3, 20003)])
    return {
        "window": (voice(LOW, 0, 48000), RATE),
        "odd": (voice(HIGH, 1, 77777), RATE),
        "short": (voice(LOW, 4, 4801), RATE),
        "one_more": (voice(HIGH, 5, 48001), RATE),
        "paused": (paused, RATE),
        "faint": (voice(LOW, 6, 100003) * np.float32(0.01), RATE),
        "cd": (voice(HIGH, 7, 150001, 44100), 44100),
        "studio": (voice(LOW, 8, 200003, 48000), 48000),
        "telephone": (voice(LOW, 9, 33333, 8000), 8000),
    }


@pytest.mark.parametrize("name", ["pocket", "pocket2"])
def test_embeddings_of_all_kinds_of_audio(tmp_path, name):
    model, cases = load_onnx(name), waves()
    code = """
    const model = await sv.load(await loadOrt(), data.directory);
    const found = {};
    for (const [name, rate] of data.cases) found[name] = await model.embed(array(name), rate);
    return found;
    """
    data = {"directory": directory(name), "cases": [(key, rate) for key, (_, rate) in cases.items()]}
    found = run_js(tmp_path, code, data, **{key: wave for key, (wave, _) in cases.items()})
    cosines = {
        key: float(model.embed(wave, rate) @ np.float32(found[key])) for key, (wave, rate) in cases.items()
    }
    # Shown by pytest -rP.
    print(f"{name}: lowest cosine {min(cosines.values()):.7f}")
    assert min(cosines.values()) >= LOWEST, cosines
    assert np.linalg.norm(found["odd"]) == pytest.approx(1, abs=1e-5)
    # They are not all alike anyway.
    assert np.dot(found["window"], found["odd"]) < 0.9


def test_many_windows_protocols_and_channels(tmp_path, pocket):
    # 17 windows and a half: more than go through the model at once.
    long = np.concatenate([voice(LOW if n % 2 else HIGH, n, 48000) for n in range(18)])[:-24001]
    pair = np.stack([voice(LOW, 1, 60001), voice(HIGH, 2, 60001)])
    pcm = np.round(pair[0] * 32767).astype(np.int16)
    code = """
    const model = await sv.load(await loadOrt(), data);
    const pair = [array("left"), array("right")];
    return {
      long: await model.embed(array("long")),
      crops: await model.embed(pair[0], 16000, { protocol: "crops", numCrops: 3 }),
      stream: await model.embed(array("long").slice(0, 100001), 16000, { protocol: "stream" }),
      both: await model.embed(pair),
      right: await model.embed(pair, 16000, { channel: 1 }),
      pcm: await model.embed(array("pcm", Int16Array)),
      precision: model.precision,
      size: model.size,
      int4: await refusal(() => sv.load(null, data, { precision: "float32" })),
    };
    """
    found = run_js(tmp_path, code, directory("pocket"), long=long, left=pair[0], right=pair[1], pcm=pcm)
    expected = {
        "long": pocket.embed(long),
        "crops": pocket.embed(pair[0], protocol="crops", num_crops=3),
        "stream": pocket.embed(long[:100001], protocol="stream"),
        "both": pocket.embed(pair),
        "right": pocket.embed(pair[1]),
        "pcm": pocket.embed(pcm),
    }
    for name, vector in expected.items():
        cosine = vector @ np.float32(found[name]) / np.linalg.norm(vector) / np.linalg.norm(found[name])
        assert cosine >= LOWEST, name
    # The paper's protocol gives a mean that is not scaled.
    assert np.linalg.norm(found["crops"]) == pytest.approx(np.linalg.norm(expected["crops"]), rel=1e-3)
    assert found["precision"] == "int8" and found["size"] == 1452
    assert "there is no float32 model, only int8" in found["int4"]


def test_what_is_heard_beside_the_embedding(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "good": voice(LOW, 0, 150003),
        "little": np.concatenate([voice(LOW, 0, 9600), np.zeros(RATE, np.float32)]),
        "steady": (0.1 * rng.standard_normal(3 * RATE)).astype(np.float32),
        "silent": np.full(RATE, 1e-5, np.float32),
    }
    code = """
    const model = await sv.load(await loadOrt(), data);
    const found = {};
    for (const name of ["good", "little", "steady"]) found[name] = await model.hear(array(name));
    found.silent = await refusal(() => model.hear(array("silent")));

    return found;
    """
    found = run_js(tmp_path, code, directory("pocket"), **arrays)
    # The four windows of the recording are read at once, so all frames are counted once.
    meter = SpeechMeter(RATE)
    meter.take(arrays["good"])
    assert found["good"]["quality"]["seconds"] == pytest.approx(meter.share() * 150003 / RATE, abs=1e-6)
    assert found["good"]["seconds"] == 150003 / RATE and found["good"]["doubts"] == []
    assert found["little"]["quality"]["seconds"] == pytest.approx(0.6, abs=0.03)
    assert found["little"]["doubts"] == []
    assert found["steady"]["doubts"] == ["a steady sound, hardly speech"]
    assert found["silent"] == "no speech: nothing in it is louder than -60 dB of full scale"


@pytest.mark.parametrize("hop", [48000, 8000, 7001])
def test_streams_give_the_same_scores(tmp_path, pocket, hop):
    wave, step = voice(LOW, 1, 110003), 12007
    enrolled = pocket.embed(voice(LOW, 0))
    code = """
    const model = await sv.load(await loadOrt(), data.directory);
    const stream = model.stream({ hop: data.hop, enrolled: array("enrolled") });
    const wave = array("wave");
    const scores = [];
    for (let at = 0; at < wave.length; at += data.step) {
      await stream.push(wave.slice(at, at + data.step));
      scores.push([stream.windows, stream.numSamples, await stream.score()]);
    }
    const whole = await stream.embedding({ tail: false });
    await stream.finish();
    return { scores, whole, last: await stream.embedding(), latest: stream.latest,
             speech: stream.quality.seconds, doubts: stream.doubts, windows: stream.windows,
             more: await refusal(() => stream.push(wave)) };
    """
    data = {"directory": directory("pocket"), "step": step, "hop": hop}
    found = run_js(tmp_path, code, data, wave=wave, enrolled=enrolled)
    stream = pocket.stream(RATE, hop, enrolled)
    for at, (windows, samples, score) in zip(range(0, len(wave), step), found["scores"], strict=True):
        stream.push(wave[at : at + step])
        assert (windows, samples) == (stream.windows, stream.num_samples)
        assert score == pytest.approx(stream.score(), abs=1e-3)
    stream.finish()
    assert found["windows"] == stream.windows
    # Without the rest behind the last whole window.
    until = (stream.windows - 1) * hop + 48000
    before = pocket.stream(RATE, hop)
    before.push(wave[:until])
    assert before.embedding() @ np.float32(found["whole"]) >= LOWEST
    assert stream.embedding() @ np.float32(found["last"]) >= LOWEST
    meter = SpeechMeter(RATE)
    meter.take(wave)
    assert found["speech"] == pytest.approx(meter.share() * len(wave) / RATE, abs=1e-6)
    assert found["doubts"] == []
    assert np.linalg.norm(found["latest"]) == pytest.approx(1, abs=1e-5)
    assert found["more"] == "the stream is finished; start another one"


def test_a_stream_at_another_rate(tmp_path, pocket):
    wave = voice(HIGH, 2, 250003, 44100)
    code = """
    const model = await sv.load(await loadOrt(), data);
    const stream = model.stream({ sampleRate: 44100 });
    const wave = array("wave");
    for (let at = 0; at < wave.length; at += 30011) await stream.push(wave.slice(at, at + 30011));
    await stream.finish();
    return [stream.numSamples, await stream.embedding()];
    """
    samples, embedding = run_js(tmp_path, code, directory("pocket"), wave=wave)
    assert samples == round(250003 * 16000 / 44100)
    assert pocket.embed(wave, 44100, protocol="stream") @ np.float32(embedding) >= LOWEST


def test_a_voice_is_ranked_first(tmp_path, pocket):
    people = {"low": voice(LOW, 0), "high": voice(HIGH, 0)}
    code = """
    const model = await sv.load(await loadOrt(), data);
    const people = [];
    for (const name of ["low", "high"]) {
      people.push({ name, embedding: sv.enrol([await model.embed(array(name))]) });
    }
    return sv.identify(people, { embedding: await model.embed(array("test")) }, model);
    """
    test = voice(HIGH, 1)
    found = run_js(tmp_path, code, directory("pocket"), **people, test=test)
    assert found["name"] == "high" and [row["name"] for row in found["likeliest"]] == ["high", "low"]
    for row in found["likeliest"]:
        sides = pocket.embed(people[row["name"]]), pocket.embed(test)
        assert row["score"] == pytest.approx(float(sides[0] @ sides[1]), abs=1e-3)
        assert row["ratio"] == pytest.approx(pocket.calibration.ratio(*sides), abs=0.05)
        # Half of 1 % of strangers for each of two.
        assert row["threshold"] == pocket.calibration.maps[0].at_most(0.005).ratio


@pytest.mark.parametrize("name", ["pocket", "pocket2"])
def test_verdicts_on_recordings(tmp_path, name):
    """From samples to verdicts, as `svmixer verify` gives them for files of the same samples."""
    rng = np.random.default_rng(0)
    cases = waves()
    noisy = voice(LOW, 10, 4 * RATE)
    cases["noisy"] = (noisy + np.float32(0.1) * rng.standard_normal(len(noisy)).astype(np.float32), RATE)
    cases["clipped"] = (np.clip(6 * noisy, -1, 1), RATE)
    enrolled = ["window", "faint"]
    code = """
    const model = await sv.load(await loadOrt(), data.directory);
    const heard = {};
    for (const [name, rate] of data.cases) heard[name] = await model.hear(array(name), rate);
    const known = data.enrolled.map((name) => heard[name]);
    const speaker = sv.enrol(known.map(({ embedding }) => embedding));
    return Object.fromEntries(data.cases.map(([name]) => {
      const { embedding, quality, doubts } = heard[name];
      const qualities = [known.map(({ quality }) => quality), [quality]];
      return [name, sv.verify(speaker, embedding, model, { qualities, doubts })];
    }));
    """
    data = {
        "directory": directory(name), "enrolled": enrolled,
        "cases": [(key, rate) for key, (_, rate) in cases.items()],
    }  # fmt: skip
    arrays = {key: wave for key, (wave, _) in cases.items()}
    found = run_js(tmp_path, code, data, **arrays)
    embedder = load_embedder(name)
    heard = {}
    for key, (wave, rate) in cases.items():
        soundfile.write(tmp_path / f"{key}.wav", wave, rate, subtype="FLOAT")
        heard[key] = embed_recording(embedder, str(tmp_path / f"{key}.wav"))
    speaker = enrol([heard[key].vectors[0] for key in enrolled])
    differences = []
    for key in cases:
        qualities = [heard[one].quality for one in enrolled], [heard[key].quality]
        doubts = [doubt.split(": ", 1)[1] for doubt in heard[key].doubts]
        expected = verify_calibrated(
            embedder.calibration, speaker, heard[key].vectors[0], qualities, doubts=doubts
        )
        assert (found[key]["decision"], found[key]["doubts"]) == (expected.decision, list(expected.doubts)), (
            key
        )
        assert found[key]["threshold"] == expected.threshold
        differences.append(abs(found[key]["ratio"] - expected.ratio))
    print(f"{name}: largest difference of the log-likelihood ratio {max(differences):.4f}")
    assert max(differences) < 0.1
    assert {verdict["decision"] for verdict in found.values()} >= {"one speaker", "uncertain"}


def test_directories_that_are_no_export(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/export.json").write_text('{"format": 2}')
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/export.json").write_text('{"format": 1, "window": 3}')
    (tmp_path / "text").mkdir()
    (tmp_path / "text/export.json").write_text("text")
    code = """
    const ort = await loadOrt();
    const names = ["old", "bare", "text", "none"];
    return Promise.all(names.map((name) => refusal(() => sv.load(ort, `${data}/${name}`))));
    """
    old, bare, text, none = run_js(tmp_path, code, str(tmp_path))
    assert old == f"{tmp_path}/old/export.json: format 2, this version reads 1"
    assert bare == (
        f"{tmp_path}/bare/export.json: not the description of an exported model: sample_rate is missing"
    )
    assert text.startswith(f"{tmp_path}/text/export.json: not the description of an exported model: ")
    assert "no such file" in none
