"""Parameters and MACs of a speaker model and its parts; without a configuration, of the paper's models.

Example:
    svmixer complexity --config exp/voices_compact/export/config.yaml
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from svmixer.config import parse_args
from svmixer.limits import at_least
from svmixer.models.config import BackendConfig, ModelConfig, StudentConfig, WhitenedStatisticsConfig
from svmixer.models.teacher_config import TeacherConfig


@dataclass(frozen=True)
class ComplexityConfig:
    """Options; a model's ``config.yaml`` can be given as ``--config``."""

    # Student: a section or a YAML file. Without student and backend: the paper's small and large models.
    student: StudentConfig | None = None
    # Backend: a section or a YAML file.
    backend: BackendConfig | None = None
    # Whether the embeddings are whitened.
    whiten: bool = False
    # Statistics of the states beside the backend's embedding.
    statistics: WhitenedStatisticsConfig = field(default_factory=WhitenedStatisticsConfig)
    # Sampling rate of the waveforms in Hz.
    sample_rate: int = 16000
    # A teacher's encoder in the student's place: a section or a YAML file.
    teacher: TeacherConfig | None = None
    # The model that it was adapted from; a whitening is behind it then.
    adapted_from: str = ""
    # table for people, json for programs.
    format: Literal["table", "json"] = "table"
    # The same as --format json.
    json: bool = False

    def __post_init__(self) -> None:
        at_least(self, 1, "sample_rate")


def main(argv: list[str] | None = None) -> None:
    """Print one row a part: parameters, MACs in the paper's accounting, operations in the full one."""
    config = parse_args(ComplexityConfig, argv, __doc__)
    from svmixer.models.costs import model_rows, paper_rows

    if config.student is None and config.backend is None:
        rows = list(paper_rows())
    else:
        # A part that the options leave out has its default.
        student, backend = config.student or StudentConfig(), config.backend or BackendConfig()
        model = ModelConfig(
            student, backend, config.whiten, config.statistics, config.sample_rate, config.teacher,
            config.adapted_from,
        )  # fmt: skip
        rows = list(model_rows(model))
    if config.json or config.format == "json":
        print(json.dumps(rows, indent=2))
    else:
        print(table(rows))


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as aligned text, with what the columns count."""
    width = max(len(row["name"]) for row in rows)
    stated = any("stated" in row for row in rows)
    head = f"{'':{width}}  {'parameters':>12}  {'MMACs':>10}  {'Mops':>10}"
    lines = [head + f"  {'stated':>10}  {'MMACs':>10}" if stated else head]
    for row in rows:
        macs, operations = row["macs"] / 1e6, row["operations"] / 1e6
        line = f"{row['name']:{width}}  {row['params']:12,}  {macs:10,.1f}  {operations:10,.1f}"
        if "stated" in row:
            params, macs = row["stated"]["params"] / 1e6, row["stated"]["macs"] / 1e6
            line += f"  {params:9.2f}M  {macs:10,.0f}"
        lines.append(line)
    lines += [
        "",
        f"For one input of {rows[0]['samples']:,} samples. MMACs: millions of multiply-accumulates of Linear",
        "and Conv layers alone, weights and biases, as the paper counts. Mops: those of every matrix product",
        "and convolution as executed, plus one an element for norms, activations and all else that computes.",
    ]
    if stated:
        lines.append("Stated: by the paper for layers (Table I), by the released models for whole systems.")
    return "\n".join(lines)
