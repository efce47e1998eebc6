"""Extraction in jobs: files, resume, errors; merge and scoring end to end."""

import json

import kaldiio
import numpy as np
import pytest

from svmixer.audio.dumpset import DumpSet
from svmixer.cli.main import run_program
from svmixer.fileio import md5_file
from svmixer.inference.utterance import embed_utterance, embed_utterances
from svmixer.models.config import BackendConfig, EcapaConfig, FrontendConfig, ModelConfig, StudentConfig
from svmixer.models.io import load_model, save_model
from svmixer.models.speaker_model import SpeakerModel
from svmixer.scoring.utterances import dump_source, extract, lowpass
from svmixer.scoring.vectors import EmbeddingError, job_finished, load_embeddings, merge_jobs, write_job
from svmixer.stages import extract as extract_cli


@pytest.fixture
def eval_set(make_dump, voices, trial_text):
    return make_dump("test", voices, trial_text)


@pytest.fixture
def train_set(make_dump, voices):
    return make_dump("train", voices)


@pytest.fixture
def model_dir(tmp_path):
    """A model of a few thousand parameters."""
    frontend = FrontendConfig(channels=(8,) * 7)
    student = StudentConfig(frontend=frontend, layers=1, hidden=16, group_width=8, expansion=2)
    ecapa = EcapaConfig(channels=8, attention_channels=4, se_bottleneck=4, scale=2)
    import torch

    torch.manual_seed(0)
    save_model(
        SpeakerModel(ModelConfig(student, BackendConfig(embedding=6, ecapa=ecapa))), tmp_path / "model"
    )
    return tmp_path / "model"


def run_jobs(data, out, model, num_jobs=2, *more):
    for job in range(1, num_jobs + 1):
        command = f"--model {model} --data_dir {data} --output_dir {out} --num_jobs {num_jobs} --job {job}"
        run_program("extract", [*command.split(), *more])


def score(data, out, num_jobs=2):
    command = (
        f"--data_dir {data} --embeddings_dir {out} --output_dir {out} --num_jobs {num_jobs} --replicates 50"
    )
    run_program("score", command.split())
    return json.loads((out / "metrics.json").read_text())


def test_model_embeddings_are_those_of_the_common_path(eval_set, model_dir, tmp_path):
    out = tmp_path / "out"
    run_jobs(eval_set, out, model_dir, 3, "--num_crops", "4")
    table, _ = merge_jobs(out, 3)
    dump, model = DumpSet(eval_set), load_model(model_dir)
    assert list(table) == dump.utterances
    found = load_embeddings(table, dump.utterances, "test")
    assert found.dtype == np.float32
    for index in (0, 3, 7):
        alone = embed_utterance(model.embed_windows, dump.read(index), model.window, "crops", 4)
        np.testing.assert_allclose(found[index], alone, atol=1e-6)
    assert kaldiio.load_mat(table[dump.utterances[3]]).tolist() == found[3].tolist()


def test_lowpass_is_in_front_of_the_system(eval_set):
    dump = DumpSet(eval_set)

    def whole(sources):
        for source in sources:
            yield source.name, source.read(0, source.num_samples)

    filtered = dict(extract(whole, dump, range(2), 3800.0))
    np.testing.assert_array_equal(filtered["a-0"], lowpass(dump.read(0), 3800.0))
    np.testing.assert_array_equal(filtered["a-1"], lowpass(dump.read(1), 3800.0))
    ((name, plain),) = extract(whole, dump, range(1))
    assert name == "a-0"
    np.testing.assert_array_equal(plain, dump.read(0))


@pytest.mark.parametrize(
    ("lowpass_hz", "max_seconds"), [(0.0, 0.0), (3800.0, 0.0), (3800.0, 1.5), (0.0, 9.0)]
)
def test_pieces_are_those_of_the_whole(eval_set, lowpass_hz, max_seconds):
    """Read piece by piece, cut to the middle and filtered: the same as all of it cut and filtered at once."""
    dump = DumpSet(eval_set)
    source = dump_source(dump, 2, lowpass_hz, max_seconds)
    wave = dump.read(2)
    if max_seconds == 1.5:
        wave = wave[12000:36000]
    wave = lowpass(wave, lowpass_hz) if lowpass_hz else wave
    assert source.num_samples == len(wave) == (24000 if max_seconds == 1.5 else 48000)
    for first, count in ((0, 10), (100, 9000), (len(wave) - 700, 700), (0, len(wave))):
        np.testing.assert_allclose(source.read(first, count), wave[first : first + count], atol=1e-6)


@pytest.mark.parametrize("system", ["control", "control_whitened"])
def test_control_end_to_end(eval_set, train_set, tmp_path, system):
    """The tilts of the three "voices" are told apart without an error, and the files say how."""
    out = tmp_path / "out"
    run_jobs(eval_set, out, system, 2, "--train_dir", str(train_set))
    metrics = score(eval_set, out)
    assert metrics["eer"] == 0.0
    assert metrics["min_dcf"] == {"0.05": 0.0, "0.01": 0.0}
    assert metrics["eer_ci95"] == [0.0, 0.0]
    expected = {"set": "test", "trials": 66, "targets": 18, "protocol": "crops", "normalisation": "none"}
    assert {key: metrics[key] for key in expected} == expected
    assert metrics["trials_md5"] == md5_file(eval_set / "trials")
    assert metrics["model"] == system
    assert metrics["bootstrap"]["speakers"] == 3
    assert metrics["units"]["eer"] == "percent"
    lines = (out / "scores").read_text().splitlines()
    trials = (eval_set / "trials").read_text().splitlines()
    assert [line.split()[:2] for line in lines] == [line.split()[1:] for line in trials]
    vectors = load_embeddings(merge_jobs(out, 2)[0], ["a-0", "a-1"], "test").astype(float)
    assert lines[0] == f"a-0 a-1 {vectors[0] @ vectors[1]:.6f}"


def test_number_of_jobs_does_not_change_the_scores(eval_set, train_set, tmp_path):
    for num_jobs in (1, 5):
        run_jobs(eval_set, tmp_path / str(num_jobs), "control", num_jobs, "--train_dir", str(train_set))
        score(eval_set, tmp_path / str(num_jobs), num_jobs)
    assert (tmp_path / "1/scores").read_bytes() == (tmp_path / "5/scores").read_bytes()


def test_finished_job_is_not_done_again(eval_set, train_set, tmp_path):
    out, options = tmp_path / "out", ["--train_dir", str(train_set)]
    run_jobs(eval_set, out, "control", 1, *options)
    before = (out / "embeddings.1.ark").stat().st_mtime_ns
    run_jobs(eval_set, out, "control", 1, *options)
    assert (out / "embeddings.1.ark").stat().st_mtime_ns == before
    content = (out / "embeddings.1.ark").read_bytes()
    run_jobs(eval_set, out, "control", 1, *options, "--force", "true")
    assert (out / "embeddings.1.ark").stat().st_mtime_ns != before
    assert (out / "embeddings.1.ark").read_bytes() == content
    # Another option, and another dump, each make it stale.
    run_jobs(eval_set, out, "control", 1, *options, "--lowpass_hz", "3800")
    assert (out / "embeddings.1.ark").read_bytes() != content
    settings = json.loads((out / "embeddings.1.json").read_text())
    assert job_finished(out, 1, settings)
    scp = eval_set / "wav.scp"
    scp.write_text("".join(scp.read_text().splitlines(keepends=True)[:-1]))
    lengths = eval_set / "utt2num_samples"
    lengths.write_text("".join(lengths.read_text().splitlines(keepends=True)[:-1]))
    run_jobs(eval_set, out, "control", 1, *options, "--lowpass_hz", "3800")
    assert len(merge_jobs(out, 1)[0]) == 11


def test_interrupted_job_leaves_nothing_finished(tmp_path):
    def vectors():
        yield "a", np.ones(3)
        raise KeyboardInterrupt

    write_job(tmp_path, 1, [("a", np.zeros(3))], {"model": "old"})
    with pytest.raises(KeyboardInterrupt):
        write_job(tmp_path, 1, vectors(), {"model": "new"})
    # The old embeddings are whole, but no longer announced; nothing temporary is left.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["embeddings.1.ark", "embeddings.1.json"]
    assert not job_finished(tmp_path, 1, {"model": "old"})
    with pytest.raises(
        EmbeddingError, match=r"embeddings\.1\.scp: missing: extraction job 1 of 1 has not finished"
    ):
        merge_jobs(tmp_path, 1)


def test_merge_refuses_a_mixture(tmp_path):
    write_job(tmp_path, 1, [("a", np.ones(3))], {"model": "x"})
    write_job(tmp_path, 2, [("b", np.ones(3))], {"model": "y"})
    with pytest.raises(EmbeddingError, match="other settings"):
        merge_jobs(tmp_path, 2)
    write_job(tmp_path, 2, [("a", np.ones(3))], {"model": "x"})
    with pytest.raises(EmbeddingError, match="utterance a is in two jobs"):
        merge_jobs(tmp_path, 2)


def test_jobs_of_an_earlier_larger_run_are_ignored(tmp_path):
    for job in (1, 2, 3):
        write_job(tmp_path, job, [(f"u{job}", np.full(2, job))], {})
    table, _ = merge_jobs(tmp_path, 2)
    assert list(table) == ["u1", "u2"]
    assert (tmp_path / "embeddings.scp").read_text().count("\n") == 2


def test_embeddings_of_different_size_or_not_finite(tmp_path):
    write_job(tmp_path, 1, [("a", np.ones(3)), ("b", np.ones(4)), ("c", np.array([1, np.nan, 0]))], {})
    table, _ = merge_jobs(tmp_path, 1)
    assert load_embeddings(table, ["a"], "x").tolist() == [[1, 1, 1]]
    for bad in "bc":
        with pytest.raises(EmbeddingError, match=f"utterance {bad}: not a finite vector of 3"):
            load_embeddings(table, ["a", bad], "x")


def test_missing_embeddings_are_named(eval_set, train_set, tmp_path, capsys):
    out = tmp_path / "out"
    run_jobs(eval_set, out, "control", 2, "--train_dir", str(train_set))
    with open(eval_set / "trials", "a") as stream:
        stream.write("1 a-0 a-9\n0 a-0 z-1\n")
    (eval_set / "dropped.tsv").write_text("utterance\treason\tsource\na-9\ttoo short: 0.1 s\tx.wav\n")
    with pytest.raises(SystemExit) as stop:
        score(eval_set, out)
    assert stop.value.code == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert "2 of 14 utterances have no embedding: a-9, z-1" in message
    assert "a-9: too short: 0.1 s" in message
    assert not (out / "scores").exists()


def test_list_of_one_class(eval_set, train_set, tmp_path, capsys):
    out = tmp_path / "out"
    run_jobs(eval_set, out, "control", 1, "--train_dir", str(train_set))
    (eval_set / "trials").write_text("0 a-0 b-0\n0 a-1 b-0\n")
    with pytest.raises(SystemExit):
        score(eval_set, out, 1)
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.endswith("trials: 0 of 2 trials are target trials: error rates need both classes")


def test_utterance_without_speaker(eval_set, train_set, tmp_path, capsys):
    out = tmp_path / "out"
    run_jobs(eval_set, out, "control", 1, "--train_dir", str(train_set))
    table = (eval_set / "utt2spk").read_text().splitlines(keepends=True)
    (eval_set / "utt2spk").write_text("".join(table[1:]))
    with pytest.raises(SystemExit):
        score(eval_set, out, 1)
    assert "utt2spk: utterance a-0: is in the trial list and has no speaker" in capsys.readouterr().err


def test_set_that_does_not_know_its_speakers(eval_set, train_set, tmp_path):
    """The figures are the same; there is no interval, as nobody can say whose trials belong together."""
    out = tmp_path / "out"
    run_jobs(eval_set, out, "control", 1, "--train_dir", str(train_set))
    known = score(eval_set, out, 1)
    (eval_set / "utt2spk").unlink()
    unknown = score(eval_set, out, 1)
    assert unknown == {**known, "eer_ci95": None, "bootstrap": None}
    assert known["eer_ci95"] is not None


def test_embedding_that_is_not_finite_names_the_utterance(eval_set):
    dump = DumpSet(eval_set)

    def not_a_number(sources):
        return ((source.name, np.array([1.0, np.nan])) for source in sources)

    with pytest.raises(EmbeddingError, match=r"utterance a-1: .*not finite"):
        list(extract(not_a_number, dump, range(1, 2)))
    dump.num_samples[0] = 0
    with pytest.raises(EmbeddingError, match="utterance a-0: empty waveform"):
        list(extract(lambda sources: embed_utterances(None, sources, 9), dump, range(1)))


@pytest.mark.parametrize(
    ("options", "status", "what"),
    [
        (["--model", "control"], 2, "train_dir: the control needs"),
        (["--model", "control_whitened"], 2, "train_dir: the control needs"),
        (["--model", "nowhere"], 1, "nowhere: no such model directory"),
        (["--model", "nowhere", "--protocol", "corps"], 2, "'corps' is not one of"),
        (["--model", "nowhere", "--job", "2"], 2, "job: 2 is not among"),
    ],
)
def test_mistakes_end_with_one_line(eval_set, tmp_path, capsys, options, status, what):
    with pytest.raises(SystemExit) as stop:
        run_program("extract", [*options, "--data_dir", str(eval_set), "--output_dir", str(tmp_path / "out")])
    assert stop.value.code == status
    assert what in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("job", "visible", "device"), [(1, 1, "cuda:0"), (4, 1, "cuda:0"), (4, 3, "cuda:0"), (2, 3, "cuda:1")]
)
def test_jobs_take_turns_on_the_visible_gpus(monkeypatch, job, visible, device):
    monkeypatch.setattr("torch.cuda.device_count", lambda: visible)
    config = extract_cli.ExtractConfig("model", "data", "output", num_jobs=4, job=job, ngpu=2)
    assert extract_cli._device(config) == device


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(EmbeddingError, match="--ngpu 0"):
        extract_cli._device(extract_cli.ExtractConfig("model", "data", "output", ngpu=1))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--channels", "amrnb:opsu"], "channels: no channel family 'opsu'; did you mean 'opus'?"),
        (["--lowpass", "3800 9000"], "lowpass: a frequency between 200 and 8000 Hz, or 0, found 9000"),
    ],
)
def test_conditions_are_checked_before_a_training(words, message, capsys):
    run_program("check_conditions", ["--channels", "mulaw:gsm", "--lowpass", "3800"])
    with pytest.raises(SystemExit):
        run_program("check_conditions", words)
    assert message in capsys.readouterr().err
