"""SV-Mixer through ESPnet's own speaker task: trainer, checkpoint, inference; and the parts alone."""

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

pytest.importorskip("espnet2", reason="ESPnet is part of [train]")

from svmixer import config as configuration
from svmixer.cli.main import run_program
from svmixer.config import ConfigError
from svmixer.espnet import convert
from svmixer.espnet.parts import IdentityProjector, SvMixerFrontend, SvMixerPooling
from svmixer.models.backends.ecapa import Ecapa
from svmixer.models.config import BackendConfig, StudentConfig
from svmixer.models.io import load_model, save_tensors
from svmixer.models.student import Student

CONF = Path(__file__).parents[2] / "conf"
STUDENT = {
    "frontend": {"channels": [8, 8, 8, 8, 8, 8, 16]},
    "layers": 2,
    "hidden": 32,
    "window": 8000,
    "group_width": 8,
    "expansion": 2,
    "dropout": 0.0,
}
ECAPA = {"channels": 16, "attention_channels": 8, "se_bottleneck": 4, "noise": [0, 0]}
BACKEND = {"name": "ecapa", "embedding": 12, "ecapa": ECAPA}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(5)


@pytest.fixture
def wave():
    return 0.1 * torch.randn(3, 8000)


def sum_of_states(frontend, states):
    return sum(frontend.w[0, i, 0, 0] * states[:, i] for i in range(states.shape[1]))


def test_the_frontend_is_the_weighted_sum_of_the_student(wave):
    frontend = SvMixerFrontend(student=STUDENT).eval()
    student = Student(configuration.from_dict(StudentConfig, STUDENT)).eval()
    student.load_state_dict(frontend.student.state_dict())
    frames, lengths = frontend(wave, torch.full((3,), 8000))
    assert frames.shape == (3, 24, frontend.output_size()) == (3, 24, 32)
    assert lengths is None
    torch.testing.assert_close(frames, sum_of_states(frontend, student(wave)))


def test_the_frontend_takes_any_length_and_counts_the_frames_that_are_no_padding():
    """20000 samples: (20000 - 400) // 320 + 1 = 62 frames; 10000: 31; 100: none, counted as one."""
    frontend = SvMixerFrontend(student=STUDENT).eval()
    wave = 0.1 * torch.randn(3, 20000)
    frames, lengths = frontend(wave, torch.tensor([20000, 10000, 100]))
    assert frames.shape == (3, 62, 32)
    assert lengths.tolist() == [62, 31, 1]
    first = frontend.student(wave[:, : 400 + 23 * 320])
    torch.testing.assert_close(frames[:, :24], sum_of_states(frontend, first))


def test_the_frontend_starts_from_a_distilled_student(tmp_path, wave):
    given = Student(configuration.from_dict(StudentConfig, STUDENT)).eval()
    save_tensors(given.state_dict(), tmp_path / "student.safetensors")
    (tmp_path / "student.yaml").write_text(yaml.safe_dump(STUDENT))
    frontend = SvMixerFrontend(
        student=str(tmp_path / "student.yaml"), init=str(tmp_path / "student.safetensors")
    ).eval()
    torch.testing.assert_close(
        frontend(wave, torch.full((3,), 8000))[0], sum_of_states(frontend, given(wave))
    )


def test_wrong_keys_are_named():
    with pytest.raises(ConfigError, match=r"unknown key 'student\.layer'; did you mean 'layers'"):
        SvMixerFrontend(student={"layer": 3})
    with pytest.raises(ConfigError, match="pooling_conf: unknown key 'backends'; did you mean 'backend'"):
        SvMixerPooling(input_size=8, backends={})


def test_the_pooling_is_the_backend_on_one_state():
    pooling = SvMixerPooling(input_size=10, backend=BACKEND).eval()
    backend = Ecapa(configuration.from_dict(BackendConfig, BACKEND), 2, 10).eval()
    backend.load_state_dict({**pooling.backend.state_dict(), "w": torch.tensor([2.0, -1.0]).view(1, 2, 1, 1)})
    states = torch.randn(3, 2, 20, 10)
    frames = 2 * states[:, 0] - states[:, 1]
    torch.testing.assert_close(pooling(frames.transpose(1, 2)), backend(states), atol=1e-5, rtol=1e-5)
    assert pooling.output_size() == 12
    assert not pooling.backend.w.requires_grad


def test_the_pooling_refuses_padding():
    pooling = SvMixerPooling(input_size=10, backend=BACKEND).eval()
    frames = torch.randn(2, 10, 20)
    assert torch.equal(pooling(frames, feat_lengths=torch.tensor([20, 20])), pooling(frames))
    with pytest.raises(ValueError, match="found 20 frames of which only 7 are no padding"):
        pooling(frames, feat_lengths=torch.tensor([20, 7]))


def test_the_projector_changes_nothing():
    projector, x = IdentityProjector(input_size=5), torch.randn(2, 5)
    assert projector(x) is x
    assert projector.output_size() == 5


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Lists as in ESPnet's recipes: four voices (buzzes of 90 to 240 Hz), four utterances of 0.6 s each."""
    folder = tmp_path_factory.mktemp("espnet_data")
    rng = np.random.default_rng(1)
    lines = {"wav.scp": [], "utt2spk": []}
    for speaker in range(4):
        for number in range(4):
            phase = np.cumsum(np.full(9600, (90 + 50 * speaker) / 16000))
            wave = 0.3 * (2 * (phase % 1) - 1) + 0.02 * rng.standard_normal(9600)
            name = f"s{speaker}-u{number}"
            soundfile.write(folder / f"{name}.wav", wave, 16000, subtype="PCM_16")
            lines["wav.scp"].append(f"{name} {folder}/{name}.wav")
            lines["utt2spk"].append(f"{name} s{speaker}")
    speakers = sorted({line.split()[1] for line in lines["utt2spk"]})
    lines["spk2utt"] = [f"{s} " + " ".join(f"{s}-u{n}" for n in range(4)) for s in speakers]
    pairs = [("s0-u0", "s0-u1", 1), ("s1-u0", "s1-u1", 1), ("s0-u0", "s1-u1", 0), ("s2-u0", "s3-u1", 0)]
    lines["trial.scp"] = [f"{a}*{b} {folder}/{a}.wav" for a, b, _ in pairs]
    lines["trial2.scp"] = [f"{a}*{b} {folder}/{b}.wav" for a, b, _ in pairs]
    lines["trial_label"] = [f"{a}*{b} {label}" for a, b, label in pairs]
    lines["shape"] = [f"{line.split()[0]} 9600" for line in lines["wav.scp"]]
    lines["trial_shape"] = [f"{a}*{b} 9600" for a, b, _ in pairs]
    for name, rows in lines.items():
        (folder / name).write_text("\n".join(rows) + "\n")
    return folder


def run(module, output, *arguments):
    """A program of ``svmixer.espnet`` in a process of its own that cannot open a connection."""
    code = (
        "import runpy, socket, sys\n"
        "def refuse(*arguments): raise SystemExit('a connection was opened')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        f"runpy.run_module('svmixer.espnet.{module}', run_name='__main__', alter_sys=True)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "NLTK_DATA": str(output), "HOME": str(output.parent)},
    )
    assert result.returncode == 0, result.stderr[-3000:]


def configured(output, **changes):
    """A file with the shipped configuration, but for sizes: 2 epochs of 4 steps."""
    conf = yaml.safe_load((CONF / "espnet/train_svmixer.yaml").read_text())
    conf.update(
        frontend_conf={"student": STUDENT},
        pooling_conf={"backend": BACKEND},
        spk_num=4,
        optim_conf={"lr": 0.002, "weight_decay": 0.0},
        fold_length=[16000],
        batch_size=4,
        valid_batch_size=2,
        max_epoch=2,
        num_workers=0,
        seed=3,
        use_matplotlib=False,
        use_tensorboard=False,
    )
    conf["preprocessor_conf"].update(target_duration=0.5, num_eval=2)
    conf.update(changes)
    config = output.with_suffix(".yaml")
    config.write_text(yaml.safe_dump(conf))
    return config


def train(data, output, **changes):
    """``spk_train`` as ESPnet's recipes call it."""
    config = configured(output, **changes)
    arguments = f"""--config {config} --output_dir {output} --ngpu 0 --spk2utt {data}/spk2utt
        --train_data_path_and_name_and_type {data}/wav.scp,speech,sound
        --train_data_path_and_name_and_type {data}/utt2spk,spk_labels,text
        --train_shape_file {data}/shape
        --valid_data_path_and_name_and_type {data}/trial.scp,speech,sound
        --valid_data_path_and_name_and_type {data}/trial2.scp,speech2,sound
        --valid_data_path_and_name_and_type {data}/trial_label,spk_labels,text
        --valid_shape_file {data}/trial_shape""".split()
    run("spk_train", output, *arguments)


@pytest.fixture(scope="session")
def trained(data, tmp_path_factory):
    """A training that starts from a known student."""
    torch.manual_seed(11)
    folder = tmp_path_factory.mktemp("espnet_exp")
    start = Student(configuration.from_dict(StudentConfig, STUDENT))
    save_tensors(start.state_dict(), folder / "student.safetensors")
    output = folder / "exp"
    train(data, output, frontend_conf={"student": STUDENT, "init": str(folder / "student.safetensors")})
    (folder / "student.safetensors").unlink()
    return start, output


def embedding_of(output, wave):
    """What ESPnet's own inference gives for the newest epoch of a training."""
    from svmixer.espnet.task import SvMixerSpeakerTask

    model, _ = SvMixerSpeakerTask.build_model_from_file(output / "config.yaml", output / "2epoch.pth")
    with torch.no_grad():
        return model.eval(), model(speech=wave, extract_embd=True)


@pytest.mark.slow
def test_espnets_trainer_trains_the_student(trained, wave):
    start, output = trained
    tensors = torch.load(output / "2epoch.pth", weights_only=True)
    mine = {
        key.removeprefix("frontend.student."): value
        for key, value in tensors.items()
        if key.startswith("frontend.student.")
    }
    before = start.state_dict()
    assert mine.keys() == before.keys()
    moved = {key: float((mine[key] - value).abs().max()) for key, value in before.items()}
    # Eight steps of Adam at 0.002 take a parameter 0.016 far at the most, save for rounding.
    assert all(0 < distance < 0.017 for distance in moved.values()), moved
    assert (output / "checkpoint.pth").is_file()
    student = Student(start.config)
    student.load_state_dict(mine)
    model, embedding = embedding_of(output, wave)
    assert embedding.shape == (3, 12)
    with torch.no_grad():
        frames, _ = model.frontend(wave, torch.full((3,), 8000))
        expected = sum_of_states(model.frontend, student.eval()(wave))
    torch.testing.assert_close(frames, expected)


@pytest.mark.slow
def test_the_saved_configuration_stands_alone(trained):
    _, output = trained
    conf = yaml.safe_load((output / "config.yaml").read_text())
    expected = configuration.to_dict(configuration.from_dict(StudentConfig, STUDENT))
    assert conf["frontend_conf"] == {"student": expected}
    assert configuration.from_dict(BackendConfig, conf["pooling_conf"]["backend"]).embedding == 12


@pytest.mark.slow
def test_the_exported_model_gives_espnets_embeddings(trained, tmp_path, wave):
    _, output = trained
    options = {"train_config": output / "config.yaml", "checkpoint": output / "2epoch.pth"}
    words = {**options, "output_dir": tmp_path}
    run_program("convert_espnet", [f"--{key}={value}" for key, value in words.items()])
    model = load_model(tmp_path)
    _, expected = embedding_of(output, wave)
    with torch.no_grad():
        torch.testing.assert_close(model(wave), expected, atol=1e-5, rtol=1e-5)
    assert expected.std() > 0.1


@pytest.mark.slow
def test_espnets_encoder_behind_the_student_is_exported_as_a_backend(data, tmp_path, wave):
    """RawNet3 leaves one frame of 15: the lengths of its input would spoil ESPnet's pooling."""
    train(
        data,
        tmp_path / "exp",
        encoder="rawnet3",
        encoder_conf={"ndim": 16, "output_size": 24, "model_scale": 4},
        pooling="stats",
        pooling_conf={},
        projector="rawnet3",
        projector_conf={"output_size": 10},
    )
    model = convert.speaker_model(tmp_path / "exp/config.yaml", tmp_path / "exp/2epoch.pth")
    assert model.config.backend.name == "espnet_rawnet3"
    _, expected = embedding_of(tmp_path / "exp", wave)
    with torch.no_grad():
        torch.testing.assert_close(model(wave), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_espnets_inference_program_reads_the_model(trained):
    """``espnet2.bin`` knows our parts once the task is imported; the student takes audio of any length."""
    _, output = trained
    wave = 0.1 * torch.randn(12345)
    _, expected = embedding_of(output, wave[None])
    from espnet2.bin.spk_inference import Speech2Embedding

    speech2embedding = Speech2Embedding(train_config=output / "config.yaml", model_file=output / "2epoch.pth")
    torch.testing.assert_close(speech2embedding(wave), expected)


@pytest.mark.slow
@pytest.mark.parametrize("through_the_student", [False, True])
def test_espnets_statistics(data, tmp_path, through_the_student):
    """Whole recordings, no preprocessor: their lengths are written, and with the student run, its frames."""
    conf = {} if through_the_student else {"extract_feats_in_collect_stats": False}
    config = configured(tmp_path / "stats", model_conf=conf)
    soundfile.write(tmp_path / "long.wav", 0.1 * np.random.default_rng(2).standard_normal(20000), 16000)
    arguments = f"""--collect_stats true --use_preprocessor false --config {config} --ngpu 0
        --output_dir {tmp_path}/stats --spk2utt {data}/spk2utt
        --train_data_path_and_name_and_type {tmp_path}/wav.scp,speech,sound
        --train_shape_file {tmp_path}/wav.scp
        --valid_data_path_and_name_and_type {data}/trial.scp,speech,sound
        --valid_shape_file {data}/trial.scp""".split()
    (tmp_path / "wav.scp").write_text(f"a {data}/s0-u0.wav\nb {tmp_path}/long.wav\n")
    run("spk_train", tmp_path, *arguments)
    assert (tmp_path / "stats/train/speech_shape").read_text() == "a 9600\nb 20000\n"
    assert (tmp_path / "stats/train/feats_stats.npz").is_file() == through_the_student


@pytest.mark.slow
def test_espnets_extraction_writes_the_embeddings(trained, data, tmp_path):
    """Two crops of 8000 of 9600 samples an utterance: the first and the last."""
    _, output = trained
    lists = (
        ("trial.scp", "speech,sound"),
        ("trial2.scp", "speech2,sound"),
        ("trial_label", "spk_labels,text"),
    )
    arguments = [f"--data_path_and_name_and_type={data}/{name},{kind}" for name, kind in lists]
    arguments += f"""--shape_file {data}/trial_shape --fold_length 16000 --output_dir {tmp_path}
        --spk_train_config {output}/config.yaml --spk_model_file {output}/2epoch.pth
        --target_duration 0.5 --num_eval 2 --num_workers 0""".split()
    run("spk_embed_extract", tmp_path, *arguments)
    (path,) = tmp_path.glob("*_embeddings.npz")
    stored = np.load(path)
    assert len(stored.files) == 6
    wave, _ = soundfile.read(data / "s2-u0.wav", dtype="float32")
    crops = torch.from_numpy(np.stack([wave[:8000], wave[-8000:]]))
    _, expected = embedding_of(output, crops)
    # ESPnet scales some to unit length and some not.
    unit = torch.nn.functional.normalize
    actual = unit(torch.from_numpy(stored["s2-u0"]), dim=-1)
    torch.testing.assert_close(actual, unit(expected, dim=-1), atol=1e-4, rtol=1e-4)


def test_what_a_speaker_model_has_no_place_for_is_not_exported(tmp_path):
    conf = yaml.safe_load((CONF / "espnet/train_svmixer.yaml").read_text())
    conf.update(normalize=None, encoder_conf={}, projector_conf={})
    for changes, message in [
        ({"frontend": "s3prl"}, "only frontend svmixer can be exported, found s3prl"),
        ({"normalize": "utterance_mvn"}, "only normalize null can be exported, found utterance_mvn"),
        (
            {"encoder": "identity", "pooling": "mean", "projector": "rawnet3"},
            "encoder identity, pooling mean, projector rawnet3 cannot be exported",
        ),
        ({"encoder_conf": None}, "encoder_conf is missing: not a configuration that ESPnet saved"),
    ]:
        changed = {**conf, **changes}
        if changed["encoder_conf"] is None:
            del changed["encoder_conf"]
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(changed))
        with pytest.raises(ConfigError, match=message):
            convert.speaker_model(tmp_path / "config.yaml", tmp_path / "none.pth")


@pytest.mark.slow
def test_the_preprocessor_crops_and_repeats(tmp_path):
    from svmixer.espnet.task import SvMixerPreprocessor

    (tmp_path / "spk2utt").write_text("ann a1 a2\nbob b1\n")
    options = {"target_duration": 0.01, "num_eval": 3, "noise_apply_prob": 0.0, "rir_apply_prob": 0.0}
    cut = SvMixerPreprocessor(train=True, spk2utt=str(tmp_path / "spk2utt"), **options)
    starts = set()
    random.seed(0)
    for _ in range(200):
        data = cut("b1", {"speech": np.arange(170.0), "spk_labels": "bob"})
        assert data["spk_labels"].tolist() == [1]
        assert data["speech"].tolist() == list(range(int(data["speech"][0]), int(data["speech"][0]) + 160))
        starts.add(int(data["speech"][0]))
    assert starts == set(range(10))
    short = cut("a1", {"speech": np.arange(100.0), "spk_labels": "ann"})["speech"]
    assert short.tolist() == [*range(100), *range(60)]
    trial = SvMixerPreprocessor(train=False, **options)(
        "a1*b1", {"speech": np.arange(180.0), "speech2": np.arange(160.0), "spk_labels": "0"}
    )
    assert trial["speech"][:, 0].tolist() == [0, 10, 20]
    assert trial["speech2"].shape == (3, 160)
