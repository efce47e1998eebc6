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
    # Seconds from the moment ``since`` until the dispatcher said or did what it should.
    seconds: float
    # What the time is counted from.
    since: str


def table(detections: list[Detection]) -> str:
    """Markdown: a row a case, cases in order of appearance."""
    cases: dict[tuple[str, str], dict[str, list[float]]] = {}
    for item in detections:
        cases.setdefault((item.case, item.since), {}).setdefault(item.scheduler, []).append(item.seconds)
    rows = [
        "| case | counted from | slurm.pl, s | Kaldi's, s | queue.pl, s | Kaldi's, s |",
        "|---|---|---|---|---|---|",
    ]
    for (case, since), by in cases.items():
        cells = []
        for scheduler in ("slurm", "sge"):
            # The worst of several.
            cells.append(f"{max(by[scheduler]):.1f}" if scheduler in by else "-")
            cells.append(KALDI.get((scheduler, case), "-") if scheduler in by else "-")
        rows.append(f"| {case} | {since} | {' | '.join(cells)} |")
    return "\n".join(rows)
