"""Exported graphs give the model's embeddings, and the files say what was checked."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from toy import write_dump

from svmixer.audio.dumpset import DumpSet
from svmixer.cli.main import run_program
from svmixer.export import int8, package
from svmixer.export.check import (
    ParityError,
    check_parity,
    cosines,
    graph_rates,
    run_windows,
    scored_rates,
    some_trials,
    speech_windows,
)
from svmixer.export.graph import OPSET, GraphError, write_graph
from svmixer.export.int8 import Quantiser, _part_of, find_parts
from svmixer.export.package import write_export
from svmixer.fileio import md5_file, write_json
from svmixer.inference.embedding_model import ASSETS
from svmixer.lists import Trials, write_table
from svmixer.models.io import load_model, read_safetensors, read_speakers, save_model
from svmixer.runtime import load_onnx
from svmixer.scoring.metrics import summary

pytestmark = pytest.mark.slow


def test_any_number_of_windows(model, tmp_path):
    path = tmp_path / "model.onnx"
    write_graph(model, path)
    graph = onnx.load(path)
    onnx.checker.check_model(graph)
    assert [entry.version for entry in graph.opset_import if entry.domain == ""] == [OPSET]
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    for count in (1, 2, 7):
        windows = (0.1 * np.random.default_rng(count).standard_normal((count, model.window))).astype(
            np.float32
        )
        found = session.run(["embedding"], {"wave": windows})[0]
        np.testing.assert_allclose(found, model.embed_windows(windows), rtol=1e-3, atol=1e-4)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


def test_both_precisions_have_parity_on_speech(model, exported, speech):
    windows = speech_windows(DumpSet(speech.test), model.window, 20, seed=5)
    exact = model.embed_windows(windows)
    assert cosines(run_windows(exported / "model.onnx", windows), exact).min() >= 0.9999
    assert cosines(run_windows(exported / "model.int8.onnx", windows), exact).min() >= 0.999


def test_int8_is_quantised_and_smaller(exported):
    graph = onnx.load(exported / "model.int8.onnx").graph
    kinds = {onnx.TensorProto.DataType.Name(tensor.data_type) for tensor in graph.initializer}
    assert "INT8" in kinds
    assert (exported / "model.int8.onnx").stat().st_size < (exported / "model.onnx").stat().st_size


def test_float_weights_beside_8_bits_take_16_in_the_file(tmp_path):
    """One is halved and comes back rounded; others are small, fixed, or have a value that would be ∞."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal((40, 40)).astype(np.float32) for name in ("large", "huge", "fixed")}
    weights["huge"][0, 0] = 1e6
    weights["small"] = rng.standard_normal((40, 2)).astype(np.float32)
    names = ["x", *weights]
    steps = [helper.make_node("MatMul", [f"{a}_out" if a != "x" else "x", b], [f"{b}_out"])
             for a, b in itertools.pairwise(names)]  # fmt: skip
    graph = helper.make_graph(
        steps, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 40])],
        [helper.make_tensor_value_info("small_out", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )  # fmt: skip
    path = tmp_path / "g.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    before = path.stat().st_size
    int8.store_in_16_bits(path, {"fixed"})
    assert 2 * 1600 - 200 < before - path.stat().st_size < 2 * 1600
    x = rng.standard_normal((1, 40)).astype(np.float32)
    found = onnxruntime.InferenceSession(path).run(None, {"x": x})[0]
    rounded = weights["large"].astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(
        found, x @ rounded @ weights["huge"] @ weights["fixed"] @ weights["small"], rtol=1e-3
    )


def test_places_that_gather_reads_take_32_bits_in_the_file(tmp_path):
    """Those of an operator that wants 64 stay."""
    from onnx import TensorProto, helper, numpy_helper

    places = np.random.default_rng(0).integers(0, 40, (40, 40))
    shape = np.ones(2000, np.int64)
    steps = [
        helper.make_node("Gather", ["x", "places"], ["y"]),
        helper.make_node("Expand", ["one", "shape"], ["z"]),
    ]
    graph = helper.make_graph(
        steps, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [40])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [40, 40])],
        [numpy_helper.from_array(places, "places"), numpy_helper.from_array(shape, "shape"),
         numpy_helper.from_array(np.float32([1]), "one")],
    )  # fmt: skip
    path = tmp_path / "g.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    int8.store_in_16_bits(path, ())
    kinds = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert (kinds["places"], kinds["shape"]) == (TensorProto.INT32, TensorProto.INT64)
    x = np.random.default_rng(1).standard_normal(40).astype(np.float32)
    np.testing.assert_array_equal(onnxruntime.InferenceSession(path).run(["y"], {"x": x})[0], x[places])


def test_description_and_card(exported):
    data = json.loads((exported / "export.json").read_text())
    assert (data["sample_rate"], data["window"], data["embedding"]) == (16000, 8000, 12)
    assert set(data["precisions"]) == {"float32", "int8"}
    times = {precision: data["checks"][precision]["ms_per_window"] for precision in data["precisions"]}
    assert times[data["precisions"][0]] == min(times.values())
    assert set(data["checks"]) == {"pytorch", "float32", "int8"} and data["training_speakers"] == 2
    for name, row in data["checks"].items():
        assert row["real_time_factor"] == pytest.approx(row["ms_per_window"] / 500)
        if name != "pytorch":
            assert row["test"]["trials"] == 105 and row["test"]["bootstrap"]["speakers"] == 3
    card = (exported / "README.md").read_text()
    first = data["checks"][data["precisions"][0]]["test"]
    assert (
        f"{data['threshold']['cosine']:.4f}" in card and first["eer_threshold"] == data["threshold"]["cosine"]
    )
    assert "\n# toy\n" in card and card.endswith("## Data\n\nTones.\n")
    assert f"| float32 | whole | test | 3 | 105 | {data['checks']['float32']['test']['eer']:.2f} [" in card
    assert ("**slower**" in card) == (round(times["int8"] / times["float32"], 2) > 1)


def test_cosines_by_hand():
    first = np.float32([[1, 0], [3, 4], [1, 1]])
    second = np.float32([[2, 0], [4, 3], [-1, -1]])
    np.testing.assert_allclose(cosines(first, second), [1.0, 0.96, -1.0])


def test_a_graph_that_is_off_is_refused(model, speech, tmp_path, monkeypatch):
    """The int8 file has wrong weights, whatever the limit: no export, and the message has file and figure."""

    def damaged(self, target, nodes):
        graph = onnx.load(self.source)
        weights = next(
            tensor for tensor in graph.graph.initializer if tensor.name.endswith("whitening.matrix")
        )
        values = onnx.numpy_helper.to_array(weights) * np.linspace(0.5, 1.5, 12, dtype=np.float32)
        weights.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), weights.name))
        onnx.save(graph, target)

    monkeypatch.setattr(int8.Bench, "write", damaged)
    with pytest.raises(ParityError, match=r"model.int8.onnx: the lowest cosine .* not 0.999 or more"):
        write_export(model, tmp_path, speech, "toy", "")
    assert not (tmp_path / "export.json").exists()


def test_parity_is_refused_by_figure():
    exact = np.float32([[1, 0], [0, 1]])
    near, far = np.float32([[1, 0.001], [0, 1]]), np.float32([[1, 0.02], [0, 1]])
    found = check_parity("float32", package.Path(__file__), near, exact)
    assert found["cosine_lowest"] == pytest.approx(1 / (1 + 1e-6) ** 0.5, abs=1e-12)
    assert found["windows"] == 2 and found["cosine_mean"] == pytest.approx(1 - 2.5e-7, abs=1e-9)
    # cos(atan 0.02) = 0.9998: enough for int8, not for float32.
    check_parity("int8", package.Path(__file__), far, exact)
    for wrong in (far, far * np.nan):
        with pytest.raises(ParityError, match=r"of 2 windows is (0\.999800|nan), not 0\.9999 or more"):
            check_parity("float32", package.Path("x.onnx"), wrong, exact)


def test_as_many_parts_as_a_budget_allows(model, tmp_path, monkeypatch):
    source, target = tmp_path / "model.onnx", tmp_path / "int8.onnx"
    write_graph(model, source)
    windows = (0.1 * np.random.default_rng(0).standard_normal((4, model.window))).astype(np.float32)
    quantiser = Quantiser(source, windows)
    losses = list(quantiser.losses.values())
    assert losses == sorted(losses) and len(losses) == 10
    assert quantiser.write(target, 0.0) == []
    # Without any, the weights still have 16 bits.
    assert target.stat().st_size < 0.7 * source.stat().st_size
    assert cosines(run_windows(target, windows), run_windows(source, windows)).min() > 0.9999
    quantiser.losses = dict(
        zip(quantiser.losses, [0.125, 0.25, 0.5, *[4.0] * (len(losses) - 3)], strict=True)
    )
    monkeypatch.setattr(int8.Bench, "write", lambda self, target, nodes: target.write_text(" ".join(nodes)))
    for budget, count in ((0.1, 0), (0.125, 1), (0.3, 1), (0.375, 2), (0.874, 2), (0.875, 3), (4.875, 4)):
        taken = quantiser.write(target, budget)
        assert taken == list(quantiser.losses)[:count]
        nodes = [node for name in taken for node in find_parts(source)[name]]
        assert target.read_text().split() == nodes


def test_what_is_no_graph_is_said_in_one_line(model, tmp_path, monkeypatch):
    def refused(*arguments, **options):
        raise torch.onnx.OnnxExporterError("no way\nlong explanation") from RuntimeError("no such operator")

    monkeypatch.setattr(torch.onnx, "export", refused)
    with pytest.raises(GraphError, match=r"x\.onnx: the model cannot be written as ONNX: no such operator$"):
        write_graph(model, tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def test_a_part_of_the_trials():
    trials = Trials.from_rows([(1, "a", "b"), (0, "a", "c"), (0, "b", "c"), (0, "c", "d"), (1, "d", "e")])
    assert some_trials(trials, np.array([1, 1, 1, 1, 1]), 5) is trials
    for most in (2, 3, 4):
        part = some_trials(trials, np.array([1, 1, 1, 1, 1]), most)
        used = set(part.enrol) | set(part.test)
        assert 2 <= len(used) <= most
        # Every trial between those utterances, and no other.
        expected = [
            row for row in trials.rows() if {trials.utterances.index(name) for name in row[1:]} <= used
        ]
        assert list(part.rows()) == expected
    assert len(some_trials(trials, np.array([9, 9, 9, 9, 9]), 10)) == 0


def test_the_threshold_of_scored_embeddings_is_for_unit_length(tmp_path):
    """Two speakers; embeddings of crops are shorter than one, verification compares at length one."""
    from svmixer.scoring.vectors import write_vectors

    angles = {"a": 0.0, "b": 0.6, "c": 2.0, "d": 2.8}
    vectors = [(name, 0.5 * np.float32([np.cos(angle), np.sin(angle)])) for name, angle in angles.items()]
    write_table(tmp_path / "embeddings.scp", write_vectors(tmp_path / "e.ark", vectors))
    (tmp_path / "trials").write_text("1 a b\n1 c d\n0 a c\n0 b c\n0 a d\n0 b d\n")
    keys = ("set", "trials", "protocol", "num_crops", "eer", "eer_ci95", "min_dcf", "bootstrap")
    metrics = dict.fromkeys(keys)
    write_json(tmp_path / "metrics.json", {**metrics, "trials_md5": md5_file(tmp_path / "trials")})
    found = scored_rates(tmp_path, tmp_path)["unit_length_threshold"]
    # Between the worst target, cos 0.8, and the best impostor, cos 1.4.
    assert np.cos(1.4) < found <= np.cos(0.8)
    write_json(tmp_path / "metrics.json", {**metrics, "trials_md5": "0"})
    with pytest.raises(ValueError, match="scored with other trials"):
        scored_rates(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("scopes", "part"),
    [
        ("['', 'model', 'model.student', 'model.student.layers.0.token_mixing.linear1', 'linear']",
         "student.layers.token_mixing.linear1"),
        ("['', 'model', 'model.student.conv_layers.1.conv', 'conv1d']", "student.conv_layers.1"),
        ("['', 'model', 'model.backend.linear', 'linear']", "backend.linear"),
        ("['', 'model', 'model.backend.layer1.convs.0', 'conv2d']", "backend.layer1"),
        ("['', 'model', 'model.whitening', 'matmul']", "whitening"),
        ("", "rest"),
    ],
)  # fmt: skip
def test_names_of_parts(scopes, part):
    assert _part_of(scopes) == part


def test_command(model, speech, tmp_path):
    save_model(model, tmp_path / "model")
    options = ["--test", str(speech.test), "--onnx", "true"]
    where = ["--model", str(tmp_path / "model"), "--output_dir", str(tmp_path / "out")]
    run_program("export", [*where, *options])
    names = {"README.md", "config.yaml", "export.json", "model.int8.onnx", "model.onnx", "model.safetensors",
             "speakers.txt"}  # fmt: skip
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    wave = DumpSet(speech.test).read(0)
    for precision in ("float32", "int8"):
        exported = load_onnx(tmp_path / "out", precision).embed(wave)
        assert float(exported @ model.embed(wave)) > 0.999
    # Without graphs there are none of other weights.
    run_program("export", ["--model", str(tmp_path / "model"), "--output_dir", str(tmp_path / "out")])
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"config.yaml", "model.safetensors", "speakers.txt"}


def test_onnx_needs_speech(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "svmixer", "export", "--model", "m", "--output_dir", "o", "--onnx", "true"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "onnx: is checked on real speech, which --test names" in done.stderr


def test_float16_weights(model, speech, tmp_path, capsys):
    """Half the size; read, they are float32 again and near the model's; what they spoil is refused."""
    save_model(model, tmp_path / "model")
    options = ["--output_dir", str(tmp_path / "half"), "--weights", "float16", "--test", str(speech.test)]
    run_program("export", ["--model", str(tmp_path / "model"), *options])
    stored = read_safetensors(tmp_path / "half/model.safetensors")
    assert {value.dtype for value in stored.values() if value.is_floating_point()} == {torch.float16}
    assert {value.dtype for value in stored.values() if not value.is_floating_point()} <= {torch.int64}
    again = load_model(tmp_path / "half")
    wave = DumpSet(speech.test).read(0)
    assert {value.dtype for value in again.parameters()} == {torch.float32}
    assert 0.9999 <= float(again.embed(wave) @ model.embed(wave)) <= 1.000001
    # Too large for float16: it becomes infinite.
    with torch.no_grad():
        again.backend.linear.weight.mul_(1e8)
    save_model(again, tmp_path / "large")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        run_program("export", ["--model", str(tmp_path / "large"), *options])
    assert "half/model.safetensors: the lowest cosine" in capsys.readouterr().err


def test_an_export_does_not_overwrite_its_model(model, tmp_path):
    save_model(model, tmp_path / "model", ["a", "b"])
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    with pytest.raises(SystemExit):
        run_program(
            "export", ["--model", str(tmp_path / "model"), "--output_dir", str(tmp_path / "x/../model")]
        )
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before


def test_a_packaged_model_keeps_its_speakers(tmp_path):
    run_program("export", ["--model", "pocket", "--output_dir", str(tmp_path / "out")])
    assert read_speakers(tmp_path / "out") == read_speakers(ASSETS / "pocket") != []


def test_graphs_are_checked_on_models_of_several_utterances(tmp_path):
    """The first column of the trials names models of enroll.map: their mean embeddings are enrolled."""
    dump = tmp_path / "test"
    write_dump(dump, speakers=3, utterances=4, seconds=2.0)
    names = {speaker: [f"s{speaker:02d}-{number:03d}" for number in range(4)] for speaker in range(3)}
    write_table(dump / "enroll.map", {f"m{speaker}": " ".join(names[speaker][:2]) for speaker in names})
    tested = [name for found in names.values() for name in found[2:]]
    rows = [f"{int(name in names[who])} m{who} {name}" for who in names for name in tested]
    (dump / "trials").write_text("\n".join(rows) + "\n")
    found = graph_rates(ASSETS / "pocket2", "int8", dump)
    model, audio = load_onnx("pocket2", threads=1), DumpSet(dump)
    of = {name: model.embed(audio.read(row)) for row, name in enumerate(audio.utterances)}
    means = {who: of[first] + of[second] for who, (first, second, *_) in names.items()}
    scores = np.array([
        means[who] @ of[name] / np.linalg.norm(means[who]) for who in names for name in tested
    ])  # fmt: skip
    expected = summary(scores, np.array([int(row[0]) for row in rows]))
    assert (found["trials"], found["of_trials"], found["bootstrap"]["speakers"]) == (18, 18, 3)
    assert found["eer"] == pytest.approx(expected["eer"], abs=1e-6)
    assert found["eer_threshold"] == pytest.approx(expected["eer_threshold"], abs=1e-5)
