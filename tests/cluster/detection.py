"""The table of detection times: what was measured here, beside what Kaldi's dispatchers took."""

from __future__ import annotations

from dataclasses import dataclass

# Seconds after which Kaldi's slurm.pl and queue.pl (kaldi-asr/kaldi f40076610, built-in configuration)
# reported the same, measured on the same kind of cluster, by scheduler and case. Cases that are not here were
# not measured.
KALDI = {
    ("slurm", "job cancelled"): "418",
    ("slurm", "one task cancelled"): "418",
    ("slurm", "time limit"): "508",
    ("sge", "job cancelled"): "83",
    ("sge", "error state (Eqw)"): "never (stopped at 300)",
    ("sge", "request that nothing can meet"): "never (stopped at 300)",
}


@dataclass(frozen=True)
class Detection:
    """One measurement."""

    case: str
    scheduler: str
    # What the time is counted from.
    since: str
    # Seconds from then until the dispatcher said or did what it should.
    seconds: float
    # Seconds from the scheduler's own word until then; None: not looked for, or later.
    after_report: float | None = None


def table(detections: list[Detection]) -> str:
    """Markdown: a row a case, cases in order of appearance; of several measurements the longest."""
    cases: dict[tuple[str, str], dict[str, list[Detection]]] = {}
    for item in detections:
        cases.setdefault((item.case, item.since), {}).setdefault(item.scheduler, []).append(item)
    rows = [
        "| case | counted from | slurm.pl | Kaldi's slurm.pl | queue.pl | Kaldi's queue.pl |",
        "|---|---|---|---|---|---|",
    ]
    for (case, since), by in cases.items():
        cells = []
        for scheduler in ("slurm", "sge"):
            measured = max(by.get(scheduler, []), key=lambda item: item.seconds, default=None)
            cells.append(cell(measured))
            cells.append(KALDI.get((scheduler, case), "") if measured else "")
        rows.append(f"| {case} | {since} | {' | '.join(cells)} |")
    return "\n".join(rows)


def cell(measured: Detection | None) -> str:
    """Seconds, and in brackets those after the scheduler's own word."""
    if measured is None:
        return ""
    after = "" if measured.after_report is None else f" ({measured.after_report:.1f})"
    return f"{measured.seconds:.1f}{after}"
