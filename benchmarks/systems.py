"""Models with random weights that the benchmarks run: built from conf/, or directories with ONNX graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from apart import threads

from svmixer.config import load
from svmixer.fileio import write_json

if TYPE_CHECKING:
    from svmixer.models.speaker_model import SpeakerModel

ROOT = Path(__file__).resolve().parents[1]


def build_system(name: str) -> SpeakerModel:
    """The system ``STUDENT+BACKEND``, files of conf/student and conf/backend, in evaluation mode."""
    import torch

    from svmixer.models.config import BackendConfig, ModelConfig, StudentConfig
    from svmixer.models.speaker_model import SpeakerModel

    student, backend = name.split("+")
    config = ModelConfig(
        load(StudentConfig, ROOT / f"conf/student/{student}.yaml"),
        load(BackendConfig, ROOT / f"conf/backend/{backend}.yaml"),
    )
    torch.manual_seed(0)
    return SpeakerModel(config).eval()


def open_model(directory: str, system: str) -> SpeakerModel:
    """The model of a directory; without one that of :func:`build_system`."""
    from svmixer.models.io import load_model

    return load_model(directory) if directory else build_system(system)


def described(directory: str, system: str) -> str:
    """What a table calls the model of :func:`open_model`."""
    return f"`{directory}`" if directory else f"{system} with random weights"


def write_system(name: str, directory: Path, graph: bool) -> None:
    """The same system as a model directory; with ``graph`` as an export in float32, too."""
    from svmixer.export.graph import write_graph
    from svmixer.inference.onnx_model import FILES
    from svmixer.models.io import save_model

    model = build_system(name)
    save_model(model, directory)
    if graph:
        write_graph(model, directory / FILES["float32"])
        write_description(model, directory, ["float32"])


def write_description(model: SpeakerModel, directory: Path, precisions: list[str]) -> None:
    """What ONNX Runtime's side has to know of graphs in ``directory``."""
    from svmixer.inference.onnx_model import DESCRIPTION, FORMAT

    description = {
        "format": FORMAT,
        "sample_rate": model.config.sample_rate,
        "window": model.window,
        "embedding": model.config.embedding_size,
        "threshold": None,
        "precisions": precisions,
    }
    write_json(directory / DESCRIPTION, description)


def load_system(directory: str, runtime: str) -> Any:
    """The model of a directory in ``torch`` or ``onnx`` (ONNX Runtime), with this process's threads."""
    if runtime == "onnx":
        from svmixer.runtime import load_onnx

        return load_onnx(directory, "float32", threads())
    from svmixer.models.io import load_model

    threads()
    return load_model(directory)
