"""``svmixer embed``, ``svmixer complexity`` and the dispatch of verbs."""

import json
import subprocess
import sys
from dataclasses import fields

import kaldiio
import numpy as np
import pytest
import soundfile

from svmixer import __version__
from svmixer.cli.complexity import ComplexityConfig
from svmixer.cli.embed import EmbedConfig
from svmixer.cli.main import main, run_program
from svmixer.config import parse_args, save
from svmixer.inference.embedding_model import DEFAULT_MODEL
from svmixer.models.config import ModelConfig
from svmixer.models.io import load_model, save_model


@pytest.fixture
def model_dir(toy_model, tmp_path):
    save_model(toy_model, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(3)
    soundfile.write(tmp_path / "a.wav", 0.1 * rng.standard_normal((30000, 2)), 44100)
    soundfile.write(tmp_path / "b.flac", 0.1 * rng.standard_normal(3000), 8000)
    return [str(tmp_path / "a.wav"), str(tmp_path / "b.flac")]


@pytest.fixture
def expected(model_dir, files):
    model = load_model(model_dir)
    rows = []
    for name in files:
        wave, rate = soundfile.read(name, dtype="float32", always_2d=True)
        rows.append(model.embed(wave.T, rate))
    return np.stack(rows)


def test_embed_prints_kaldi_text(model_dir, files, expected, capsys):
    run_program("embed", [*files, "--model", str(model_dir)])
    lines = capsys.readouterr().out.splitlines()
    for line, name, row in zip(lines, files, expected, strict=True):
        key, values = line.split("  [ ")
        assert key == name
        np.testing.assert_allclose(np.array(values.rstrip(" ]").split(), float), row, atol=1e-6)


def test_embed_writes_npy(model_dir, files, expected, tmp_path):
    run_program("embed", [files[0], f"--model={model_dir}", files[1], "--output", str(tmp_path / "o.npy")])
    np.testing.assert_allclose(np.load(tmp_path / "o.npy"), expected, rtol=0, atol=1e-6)


def test_embed_writes_npz(model_dir, files, expected, tmp_path):
    run_program("embed", [*files, "--model", str(model_dir), "--output", str(tmp_path / "o.npz")])
    stored = np.load(tmp_path / "o.npz")
    assert stored.files == files
    np.testing.assert_allclose(stored[files[1]], expected[1], rtol=0, atol=1e-6)


def test_embed_writes_ark_and_scp(model_dir, files, expected, tmp_path):
    run_program("embed", [*files, "--model", str(model_dir), "--output", str(tmp_path / "o.ark")])
    stored = dict(kaldiio.load_scp(str(tmp_path / "o.scp")))
    assert list(stored) == files
    for name, row in zip(files, expected, strict=True):
        np.testing.assert_allclose(stored[name], row, rtol=0, atol=1e-6)
    assert dict(kaldiio.load_ark(str(tmp_path / "o.ark"))).keys() == set(files)


def test_embed_in_the_crops_protocol(model_dir, files, tmp_path):
    output = str(tmp_path / "o.npy")
    options = ["--protocol", "crops", "--num-crops", "3", "--output", output]
    run_program("embed", [files[0], "--model", str(model_dir), *options])
    wave, rate = soundfile.read(files[0], dtype="float32")
    model = load_model(model_dir)
    np.testing.assert_array_equal(np.load(output)[0], model.embed(wave.T, rate, "crops", 3))


def test_embed_names_every_bad_file_and_writes_nothing(model_dir, files, tmp_path, capsys):
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    output = tmp_path / "o.npy"
    bad = [str(tmp_path / "empty.wav"), str(tmp_path / "none.wav")]
    with pytest.raises(SystemExit) as raised:
        run_program("embed", [*files, *bad, "--model", str(model_dir), "--output", str(output)])
    assert raised.value.code == 1
    message = capsys.readouterr().err
    assert all(name in message for name in bad)
    assert not any(name in message for name in files)
    assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--model", "m"], 2, "no audio file given"),
        (["a.wav", "--modle", "m"], 2, "unknown key 'modle'; did you mean 'model'"),
        (["a.wav", "--num-crops", "0"], 2, "num_crops: must be at least 1, found 0"),
        (["a.wav", "--kaldi", "maybe"], 2, "kaldi: read beside input_dir alone"),
        (["a.wav", "--model", "m", "--device"], 2, "option --device needs a value"),
        (["a.wav", "--model"], 2, "option --model needs a value"),
        (["a.wav", "--model", "nowhere"], 1, "nowhere: no such model directory"),
        (["a b.wav", "--model", "m"], 1, "a key of a Kaldi file has no spaces"),
        (["a.wav", "--model", "m", "--output", "o.txt"], 2, "'o.txt' ends with none of .npy, .npz, .ark"),
    ],
)
def test_embed_mistakes_are_one_line(arguments, status, message, capsys):
    with pytest.raises(SystemExit) as raised:
        run_program("embed", arguments)
    assert raised.value.code == status
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--format", "json"], ["--json"], ["--json", "true"]])
def test_complexity_of_the_paper_as_json(words, capsys):
    run_program("complexity", words)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {name: row["params"] for name, row in rows.items()} == {
        "transformer layer": 8399872,
        "mlp_mixer layer": 8576177,
        "cycle_mlp layer": 9448704,
        "conv_mixer layer": 8980657,
        "svmixer layer": 3745969,
        "front end + projection": 4726784,
        "student L=5": 23458677,
        "student L=17": 68410305,
        "ecapa backend L=5": 9578566,
        "ecapa backend L=17": 9578578,
        "system L=5": 33037243,
        "system L=17": 77988883,
    }
    assert {name: round(row["macs"] / 1e9, 2) for name, row in rows.items()} == {
        "transformer layer": 1.25,
        "mlp_mixer layer": 1.43,
        "cycle_mlp layer": 1.25,
        "conv_mixer layer": 1.49,
        "svmixer layer": 0.63,
        "front end + projection": 7.44,
        "student L=5": 10.61,
        "student L=17": 18.22,
        "ecapa backend L=5": 1.28,
        "ecapa backend L=17": 1.28,
        "system L=5": 11.89,
        "system L=17": 19.5,
    }
    assert {row["samples"] for row in rows.values()} == {48000}
    assert all(row["operations"] > row["macs"] for row in rows.values())
    # The two products of the attention are no layer, but they are executed: 2 × T² × H.
    extra = rows["transformer layer"]["operations"] - rows["transformer layer"]["macs"]
    assert extra > 2 * 149 * 149 * 1024
    stated = {name: row["stated"] for name, row in rows.items() if "stated" in row}
    assert len(stated) == 7
    assert stated["cycle_mlp layer"] == {"params": 9450000, "macs": 1420000000}
    assert stated["system L=17"] == {"params": 80000000, "macs": 19400000000}


@pytest.mark.slow
def test_complexity_of_the_paper_as_a_table(capsys):
    run_program("complexity", [])
    text = capsys.readouterr().out
    lines = {line.split("  ")[0]: line.split() for line in text.splitlines()}
    assert lines["svmixer layer"][2:] == ["3,745,969", "634.6", lines["svmixer layer"][4], "3.75M", "630"]
    assert lines["student L=5"][-1] == lines["student L=5"][4], "nobody states figures for the student alone"
    assert "Stated: by the paper" in text


def test_complexity_of_a_model_directory(toy_model, model_dir, capsys):
    run_program("complexity", ["--config", str(model_dir / "config.yaml"), "--format", "json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["system"]["params"] == sum(p.numel() for p in toy_model.parameters())
    assert rows["system"]["macs"] == rows["student"]["macs"] + rows["ecapa backend"]["macs"]
    assert rows["system"]["samples"] == 8000


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "device: 'gpu' is none; there are cpu, cuda, cuda:1"),
        ("cuda:7", "no GPU can be used here"),
        ("cuda", "no GPU can be used here"),
        ("meta", "device: 'meta' cannot be used here"),
    ],
)
def test_embed_on_a_device_that_is_not_there(model_dir, files, device, message, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(SystemExit) as raised:
        run_program("embed", [files[0], "--model", str(model_dir), "--device", device])
    assert raised.value.code == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_embed_takes_the_shipped_model():
    assert EmbedConfig().model == DEFAULT_MODEL == "pocket2"


def test_a_file_behind_a_flag_is_no_value(model_dir, files, expected, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "a.wav").rename(folder / "a.wav")
    output = tmp_path / "out"
    options = ["--input_dir", str(folder), "--output_dir", str(output), "--model", str(model_dir)]
    run_program("embed", ["--kaldi", *options])
    assert (output / "embeddings.scp").read_text().startswith("a ")
    config = parse_args(EmbedConfig, [*options, "--kaldi", files[0]])
    assert config.kaldi and config.files == (files[0],)


def test_complexity_reads_every_key_of_a_model():
    keys = [{field.name for field in fields(config)} for config in (ModelConfig, ComplexityConfig)]
    assert keys[0] <= keys[1]


def test_complexity_table(toy_config, tmp_path, capsys):
    save(toy_config, tmp_path / "config.yaml")
    run_program("complexity", ["--config", str(tmp_path / "config.yaml"), "--student.layers", "3"])
    out = capsys.readouterr().out
    assert "front end + projection" in out
    assert "For one input of 8,000 samples" in out


def test_complexity_of_an_unknown_encoder(capsys):
    with pytest.raises(SystemExit) as raised:
        run_program("complexity", ["--student.encoder", "mixer"])
    assert raised.value.code == 1
    assert "unknown encoder 'mixer'; did you mean 'svmixer'" in capsys.readouterr().err


@pytest.mark.slow
def test_verbs(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["svmixer"])
    main([])
    out = capsys.readouterr().out
    assert "embed" in out
    assert "Count parameters and MACs" in out
    main(["--version"])
    assert capsys.readouterr().out.strip() == __version__
    with pytest.raises(SystemExit) as raised:
        main(["complexty"])
    assert raised.value.code == 2
    assert "unknown verb 'complexty'; did you mean 'complexity'" in capsys.readouterr().err
    for words in (["help"], ["help", "help"], ["-h"], ["--help"]):
        main(words)
        assert capsys.readouterr().out == out
    for words in (["help", "complexity"], ["complexity", "-h"]):
        with pytest.raises(SystemExit) as raised:
            main(words)
        assert raised.value.code == 0
        assert "--student.layers" in capsys.readouterr().out
    with pytest.raises(SystemExit) as raised:
        main(["help", "complexty"])
    assert raised.value.code == 2
    assert "did you mean 'complexity'" in capsys.readouterr().err
    main(["complexity", "--format", "json"])
    assert len(json.loads(capsys.readouterr().out)) == 12


@pytest.mark.slow
def test_embed_needs_the_base_install_only(model_dir, files, expected, tmp_path):
    """As a program, with everything that the base install lacks made impossible to import."""
    output = tmp_path / "o.npy"
    code = (
        "import sys\n"
        "for name in ('torchaudio', 'espnet2', 'espnet', 'lightning_fabric', 'lightning', 'transformers',"
        " 'sklearn', 'matplotlib', 'pyroomacoustics', 'tensorboard'):\n"
        "    sys.modules[name] = None\n"
        "from svmixer.cli.main import main\n"
        f"main(['embed', *{files!r}, '--model', {str(model_dir)!r}, '--output', {str(output)!r}])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_allclose(np.load(output), expected, atol=1e-6)


def test_a_reader_that_has_enough_is_no_error():
    command = f"{sys.executable} -m svmixer train --help | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == "" and done.stdout.startswith("Stage 4")
