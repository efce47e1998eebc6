"""Markdown tables of results, shared by the results page and the comparison page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from svmixer.report.results import Condition, Result
from svmixer.scoring.scorers import COSINE


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], align: str = "") -> str:
    """A Markdown table; ``align`` has one letter a column, ``l`` or ``r``."""
    rules = {"l": ":---", "r": "---:"}
    lines = [_row(header), _row([rules[letter] for letter in align or "l" * len(header)])]
    return "\n".join(lines + [_row([str(cell) for cell in row]) for row in rows])


def with_interval(value: float, interval: Sequence[float] | None, digits: int = 2) -> str:
    """``8.12 [6.03, 10.41]``; the value alone when there is no interval."""
    if interval is None:
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"


def protocol_name(metrics: dict[str, Any]) -> str:
    """The scoring protocol in words."""
    if metrics["protocol"] == "crops":
        return f"crops, {metrics['num_crops']} by {metrics['num_crops']} of 3 s"
    return str(metrics["protocol"])


def scoring_name(metrics: dict[str, Any]) -> str:
    """The score normalisation in words, behind the way of scoring where that is not the plain cosine."""
    norm, scorer = str(metrics["normalisation"]), metrics.get("scoring", COSINE)
    if scorer == COSINE:
        return norm
    return str(scorer) if norm == "none" else f"{scorer}; {norm}"


def result_table(results: Sequence[Result]) -> str:
    """One row a result."""
    return table(*result_rows(results), "lllrrrrll")


def result_rows(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Header and cells of that table."""
    header = [
        "set", "system", "band", "EER % [95 %]", "minDCF 0.05", "minDCF 0.01", "threshold", "protocol",
        "score norm",
    ]  # fmt: skip
    rows = []
    for result in results:
        metrics = result.metrics
        rows.append(
            [
                metrics["set"],
                result.system,
                result.band,
                with_interval(metrics["eer"], metrics["eer_ci95"]),
                f"{metrics['min_dcf']['0.05']:.4f}",
                f"{metrics['min_dcf']['0.01']:.4f}",
                f"{metrics['eer_threshold']:.4f}",
                protocol_name(metrics),
                scoring_name(metrics),
            ]
        )
    return header, rows


def list_table(results: Sequence[Result]) -> str:
    """One row a trial list."""
    rows = [[*cells, f"`{md5}`"] for *cells, md5 in list_rows(results)]
    return table(["set", "trials", "target trials", "speakers", "MD5 of the list"], rows, "lrrrl")


def list_rows(results: Sequence[Result]) -> list[list[str]]:
    """Cells of that table."""
    lists = {result.metrics["trials_md5"]: result.metrics for result in results}
    return [
        [m["set"], f"{m['trials']:,}", f"{m['targets']:,}", _speakers(m), md5] for md5, m in lists.items()
    ]


def _speakers(metrics: dict[str, Any]) -> str:
    return str(metrics["bootstrap"]["speakers"]) if metrics["bootstrap"] else "not known"


def complexity_rows(parts: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Rows (part, parameters, MMACs, millions of operations) of a model, from ``svmixer complexity``."""
    return [
        [
            part["name"],
            f"{part['params']:,}",
            f"{part['macs'] / 1e6:,.1f}",
            f"{part['operations'] / 1e6:,.1f}",
        ]
        for part in parts
    ]


def condition_name(condition: Condition) -> str:
    """``test, below 3.8 kHz``."""
    return f"{condition.set}, {condition.name}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
