"""Released ReDimNet checkpoints: names, outputs recorded from the authors' code, files that do not fit."""

import hashlib
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from svmixer.cli.main import run_program
from svmixer.models.backends.redimnet import Redimnet, RedimnetNetwork
from svmixer.models.backends.redimnet_parts import SIZES
from svmixer.models.config import BackendConfig, RedimnetConfig
from svmixer.models.io import InitParam, init_param
from svmixer.models.released import SUM_OF_ONE, load_released_redimnet, released_name

pytestmark = pytest.mark.slow

RECORDED = json.loads((Path(__file__).parent / "redimnet_outputs.json").read_text())


def fill(name, shape):
    """The weights of the record: normals from a seed that the name gives, scaled by the kind of tensor."""
    seed = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
    values = np.random.Generator(np.random.PCG64(seed)).standard_normal(math.prod(shape)).astype(np.float32)
    kind = name.rpartition(".")[2]
    if kind == "num_batches_tracked":
        values = np.ones(1)
    elif kind == "running_var":
        values = 0.5 + np.abs(values)
    elif kind == "running_mean":
        values = 0.1 * values
    elif kind == "weight" and len(shape) == 1:
        values = 1 + 0.1 * values
    elif kind == "bias":
        values = 0.05 * values
    elif kind == "w":
        values = 0.5 + 0.1 * values
    else:
        values = values.astype(np.float64) / np.sqrt(math.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def released_shapes(name):
    """The authors' names and shapes of all tensors but the front end's."""
    with torch.device("meta"):
        own = RedimnetNetwork(SIZES[name], 192).state_dict()
    shapes = {SUM_OF_ONE: (1, 1, 1, 1)}
    for key, value in own.items():
        shape = tuple(value.shape)
        shapes[released_name(key, SIZES[name])] = (1, *shape) if key.startswith("sums.") else shape
    return shapes


def checkpoint(path, name, change=None):
    tensors = {key: fill(key, shape) for key, shape in released_shapes(name).items()}
    tensors["spec.mel.fb"] = torch.zeros(2)
    if change:
        change(tensors)
    torch.save({"model_config": {"F": SIZES[name].bins}, "state_dict": tensors}, path)
    return path


@pytest.mark.parametrize("name", ["b0", "b2", pytest.param("b5", marks=pytest.mark.slow)])
def test_outputs_are_those_of_the_authors_code(tmp_path, name):
    size, record = SIZES[name], RECORDED[name]
    lines = sorted(f"{key} {shape}\n" for key, shape in released_shapes(name).items())
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == record["tensors"]
    network = load_released_redimnet(checkpoint(tmp_path / "a.pt", name), name).double()
    x = np.random.Generator(np.random.PCG64(20240718)).standard_normal((1, size.bins, 149))
    bins = torch.from_numpy(x.astype(np.float32)).double()
    with torch.no_grad():
        signal = network.signal(bins)
        pooled = network.pool(signal)
        embedding = network(bins)
    rows = size.rows
    for result, key in (
        (signal[0, :: 4 * (rows // 36), ::37], "signal"),
        (pooled[0, :: rows // 18], "pooled"),
        (embedding[0, ::4], "embedding"),
    ):
        expected = torch.tensor(record[key], dtype=torch.float64)
        assert (result - expected).abs().max() < 1e-8, key


def test_a_backend_starts_from_the_converted_file(tmp_path):
    checkpoint(tmp_path / "b0.pt", "b0")
    output = tmp_path / "b0.safetensors"
    words = ["--checkpoint", str(tmp_path / "b0.pt"), "--size", "b0", "--output", str(output)]
    run_program("convert_redimnet", words)
    config = BackendConfig(name="redimnet", redimnet=RedimnetConfig("b0"))
    model = torch.nn.ModuleDict({"backend": Redimnet(config, 3, 16)})
    report = init_param(model, InitParam.parse(str(output)))
    assert not report.skipped and not report.mismatched
    expected = load_released_redimnet(tmp_path / "b0.pt", "b0").state_dict()
    assert len(report.loaded) == len(expected)
    loaded = model["backend"].network.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in loaded.items())


@pytest.mark.parametrize(
    ("change", "size", "message"),
    [
        (lambda t: t.pop("backbone.stage1.2.bias"), "b0", r"missing stages\.1\.divide\.bias"),
        (lambda t: t.update({"pool.extra": torch.zeros(2)}), "b0", r"unexpected pool\.extra"),
        (lambda t: t.pop("linear.weight"), "b0", r"no tensor linear\.weight; is this a checkpoint of"),
        (None, "b2", r"b0\.pt \(size b2\): does not fit its configuration"),
    ],
)
def test_files_that_do_not_fit(tmp_path, capsys, change, size, message):
    checkpoint(tmp_path / "b0.pt", "b0", change)
    output = tmp_path / "out.safetensors"
    words = ["--checkpoint", str(tmp_path / "b0.pt"), "--size", size, "--output", str(output)]
    with pytest.raises(SystemExit) as stop:
        run_program("convert_redimnet", words)
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert re.search(message, error), error
    assert not output.exists()
