"""What a training tells: progress lines with rate and ETA, one JSON record an epoch, TensorBoard."""

from __future__ import annotations

import json
import time
from pathlib import Path

from svmixer.fileio import atomic_write
from svmixer.log import get_logger

log = get_logger(__name__)


class StepMeter:
    """One progress line every few steps, with data time against compute time since the line before."""

    def __init__(self, epoch: int, epochs: int, steps: int, done: int, utterances_per_step: int) -> None:
        self.epoch, self.epochs, self.steps, self.per_step = epoch, epochs, steps, utterances_per_step
        self.data_time = 0.0
        self._started, self._last_step = time.perf_counter(), done

    def show(self, step: int, stats: dict[str, float], lr: float) -> None:
        """Print the line of optimiser step ``step`` (1-based within the epoch)."""
        now = time.perf_counter()
        taken = step - self._last_step
        total = (now - self._started) / taken
        data = self.data_time / taken
        left = ((self.epochs - self.epoch) * self.steps + self.steps - step) * total
        figures = " ".join(f"{name} {value:.4f}" for name, value in stats.items())
        log.info(
            "epoch %d/%d step %d/%d %s lr %.2e | data %.3f s, compute %.3f s a step, %.1f utt/s, %s left",
            self.epoch, self.epochs, step, self.steps, figures, lr,
            data, total - data, self.per_step / total, _duration(left),
        )  # fmt: skip
        self._started, self._last_step, self.data_time = now, step, 0.0


class EpochLog:
    """``log.jsonl`` and TensorBoard; after a resume, records of steps that will be done again are dropped."""

    def __init__(self, folder: Path, total_steps: int, write: bool) -> None:
        self.path, self.write = folder / "log.jsonl", write
        if not write:
            return
        from torch.utils.tensorboard import SummaryWriter

        kept = []
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            # A killed run may have left half a line.
            records = [json.loads(line) for line in lines if line.endswith("\n")]
            kept = [record for record in records if record["step"] <= total_steps]
        with atomic_write(self.path) as stream:
            stream.writelines(json.dumps(record) + "\n" for record in kept)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=total_steps)

    def add(self, total_steps: int, record: dict[str, float]) -> None:
        """Append one epoch's figures."""
        if not self.write:
            return
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": total_steps, **record}) + "\n")
        for name, value in record.items():
            self._board.add_scalar(name, value, total_steps)
        self._board.flush()
        log.info(
            "epoch %d done: %s",
            record["epoch"],
            " ".join(f"{k} {v:.4g}" for k, v in record.items() if k != "epoch"),
        )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
