"""The training loop, on Lightning Fabric: one loop for pretraining, distillation and speaker training.

What a run computes is a function of its configuration and data alone: batches, crops and augmentation depend
on (seed, epoch, item), and everything else that moves (weights, optimiser, schedule, counters, random
states) is in the checkpoint. So a run that was killed continues bit-equal from its last checkpoint.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import torch
from torch.utils.data import DataLoader

from svmixer.distributed.device import Fabric, random_state, set_random_state
from svmixer.distributed.signals import INTERRUPTED, STOP_SIGNALS, note_interruption
from svmixer.errors import SvmixerError
from svmixer.log import TrainingProgress, get_logger
from svmixer.training.batch_norm import share_statistics, synchronise
from svmixer.training.checkpoint import BestCheckpoints, check_compatible, load_newest, rotate
from svmixer.training.config import LoopConfig
from svmixer.training.data import BatchPlan, ignore_signals
from svmixer.training.finetune import group_lr
from svmixer.training.metrics_log import MetricsLog, StepMetrics
from svmixer.training.schedule import (
    PhaseConfig,
    PhasedSchedule,
    Schedule,
    locate,
    make_optimizer,
    total_steps,
)
from svmixer.training.task import Task

logger = get_logger(__name__)


class Loop:
    """Runs a :class:`Task` to its end, or to the next signal.

    Files in ``output_dir``: ``last.ckpt`` (+ ``.previous``), ``log.jsonl`` (a line an epoch),
    ``tensorboard/``, ``best/`` and what ``task.finish`` writes.

    Raises:
        IncompatibleCheckpointError: the checkpoint in ``output_dir`` is of another model or optimiser.
        CheckpointError: it is damaged, and so is the one before it.
        SvmixerError: too few items for one step.
    """

    def __init__(self, fabric: Fabric, config: LoopConfig, task: Task, output_dir: str | Path) -> None:
        self.fabric, self.config, self.task, self.dir = fabric, config, task, Path(output_dir)
        self.rank, self.world = fabric.global_rank, fabric.world_size
        self.plan = BatchPlan(
            task.speakers(), config.seed, task.balance(), config.batch_size, config.accumulate, self.rank,
            self.world, task.sessions(),
        )  # fmt: skip
        if self.plan.steps == 0 and (config.max_epochs or config.phases):
            raise SvmixerError(
                f"{len(self.plan.speakers)} training items do not fill one step of "
                f"{self.plan.utterances_per_step}: lower batch_size"
            )
        # An epoch is what lies between two validations.
        self.steps = config.epoch_steps or max(self.plan.steps, 1)
        self.limit = total_steps(config.phases) if config.phases else self.steps * config.max_epochs
        # Before the teacher's states are computed, which takes long.
        self._saved = load_newest(self.dir / "last.ckpt")
        taken = self._saved["counters"]["total"] if self._saved else 0
        self.phase = locate(config.phases, taken)[0] if config.phases else 0
        self.schedule: Schedule | PhasedSchedule = (
            PhasedSchedule(config.phases)
            if config.phases
            else Schedule(config.schedule, config.lr, self.limit)
        )
        task.module = synchronise(task.module, fabric)
        optimizer = self._new_optimizer()
        if self._saved:
            check_compatible(self._saved, task.module, optimizer, self.dir / "last.ckpt")
        self.module, self.optimizer = fabric.setup(task.module, optimizer)
        task.setup(fabric)
        self.best = BestCheckpoints(self.dir / "best", config.keep_best)
        self.epoch, self.step, self.total, self.stopped = 1, 0, 0, False
        self.metrics = StepMetrics(fabric, config.accumulate)
        self._signals: list[int] = []

    def run(self) -> None:
        """Train to the end and write the final model; on a stop signal save and leave with status 75."""
        for number in STOP_SIGNALS:
            signal.signal(number, lambda received, _frame: self._signals.append(received))
        torch.manual_seed(self.config.seed * 1000 + self.rank)
        self._resume()
        metrics_log = MetricsLog(self.dir, self.total, write=self.rank == 0)
        if self.limit == 0 and self.epoch == 1:
            self._end_epoch(metrics_log)
        # A signal may have come between an epoch's last step and its end: then the step is not 0.
        while (self.total < self.limit or self.step) and not self.stopped:
            self._train_epoch()
            self._end_epoch(metrics_log)
        if self.rank == 0:
            self.task.finish(self.best.average(), self.dir)
        self.fabric.barrier()

    def time_step(self, steps: int) -> float:
        """Seconds that an optimiser step takes, the mean of ``steps``; nothing is written.

        Others come before that are not counted: data workers have prepared their batches in advance.
        """
        ahead = min(steps, 2 * self.config.workers + 1)
        progress = TrainingProgress(logger, 1, 1, steps, 0, self.plan.utterances_per_step)
        loader = iter(self._loader(self.plan.batches(0, ahead + steps)))
        self.module.train()
        for _ in range(ahead):
            self._take_step(loader, progress)
        started = time.perf_counter()
        for _ in range(steps):
            self._take_step(loader, progress)
        return (time.perf_counter() - started) / steps

    def _train_epoch(self) -> None:
        # The last epoch of phases may be a short one.
        steps = min(self.steps, self.limit - (self.total - self.step))
        epochs = -(-self.limit // self.steps)
        progress = TrainingProgress(
            logger, self.epoch, epochs, steps, self.step, self.plan.utterances_per_step
        )
        batches = self.plan.batches(self.total, self.total - self.step + steps)
        loader = iter(self._loader(batches))
        self.module.train()
        try:
            self._train_steps(loader, progress, steps)
        finally:
            # They ignore TERM, which is how Python ends them: after an error it would wait for them for ever.
            end_workers = getattr(loader, "_shutdown_workers", None)
            if end_workers is not None:
                end_workers()

    def _train_steps(
        self, loader: Iterator[dict[str, torch.Tensor]], progress: TrainingProgress, steps: int
    ) -> None:
        """Go on to step ``steps`` of this epoch."""
        config = self.config
        while self.step < steps:
            lr = self.schedule.lr(self.total)
            for group in self.optimizer.param_groups:
                group["lr"] = group_lr(group, lr, self.total / self.steps)
            self._take_step(loader, progress)
            if self.total % config.log_every == 0:
                metrics = self.metrics.fetch(self.epoch, self.step)
                if self.rank == 0:
                    progress.show(self.step, metrics, lr)
            if self._stop_asked():
                self._leave()
            if self.total % config.save_every == 0 and self.step < steps:
                self._save()
        self.metrics.fetch(self.epoch, self.step)

    def _take_step(self, loader: Iterator[dict[str, torch.Tensor]], progress: TrainingProgress) -> None:
        """One optimiser step."""
        config = self.config
        for part in range(config.accumulate):
            started = time.perf_counter()
            batch = self.fabric.to_device(next(loader))
            progress.data_time += time.perf_counter() - started
            self._backward(batch, part)
        if config.clip:
            self.fabric.clip_gradients(
                self.module, self.optimizer, max_norm=config.clip, error_if_nonfinite=False
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step, self.total = self.step + 1, self.total + 1
        self._change_phase()

    def _leave(self) -> NoReturn:
        self._save()
        reason = f"stopped by a signal: saved at epoch {self.epoch}, step {self.step}; run again to continue"
        if self.rank == 0:
            note_interruption(self.dir, reason, self.total)
            logger.info("%s", reason)
        sys.exit(INTERRUPTED)

    def _new_optimizer(self) -> torch.optim.Optimizer:
        groups, config = self.task.parameter_groups(), self.config
        if config.phases:
            return make_optimizer(config.phases[self.phase], groups)
        return make_optimizer(PhaseConfig(lr=config.lr, weight_decay=config.weight_decay), groups)

    def _change_phase(self) -> None:
        """Take the optimiser of the next step's phase, before a checkpoint can be written."""
        phases = self.config.phases
        phase = locate(phases, self.total)[0] if phases else 0
        if phase != self.phase:
            self.phase = phase
            self.optimizer = self.fabric.setup_optimizers(self._new_optimizer())
            logger.info("step %d: %s", self.total, phases[phase])

    def _backward(self, batch: dict[str, torch.Tensor], part: int) -> None:
        """Forward and backward pass of one of a step's batches."""
        accumulate = self.config.accumulate
        batch = {**self.task.prepare(batch), "epochs": self.total / self.steps}
        with self.fabric.no_backward_sync(self.module, enabled=part < accumulate - 1):
            loss, metrics = self.module(batch)
            self.fabric.backward(loss / accumulate)
        self.metrics.add(loss, metrics)

    def _end_epoch(self, metrics_log: MetricsLog) -> None:
        means = {f"train_{name}": value / self.step for name, value in self.metrics.sums.items()}
        self.module.eval()
        share_statistics(self.module, self.fabric)
        with torch.no_grad():
            validation = self.task.validate(self.fabric, self.module)
        metric = validation[self.task.metric]
        if self.rank == 0:
            self.best.offer(self.epoch, metric, self.module.module.state_dict())
            # That of the last step, if there was one.
            lr = {"lr": self.schedule.lr(self.total - 1)} if self.total else {}
            metrics_log.add(self.total, {"epoch": self.epoch, **lr, **means, **validation})
        self.stopped = self.schedule.epoch_end(metric)
        if self.stopped:
            logger.info(
                "no gain in %s for %d epochs: stopping", self.task.metric, self.config.schedule.stop_after
            )
        self.epoch, self.step, self.metrics.sums = self.epoch + 1, 0, {}
        self._save()

    def _loader(self, batches: list[list[tuple[int, int]]]) -> DataLoader:
        return DataLoader(
            self.task.dataset(),
            batch_sampler=batches,
            num_workers=self.config.workers,
            worker_init_fn=ignore_signals,
            # A generator of its own keeps the loader's base seed off the global random state, which dropout
            # draws from.
            generator=torch.Generator().manual_seed(0),
            pin_memory=self.fabric.device.type == "cuda",
        )

    def _stop_asked(self) -> bool:
        if self.world == 1:
            return bool(self._signals)
        # Not every rank gets the signal: all must agree before the collective save.
        flag = torch.tensor(float(bool(self._signals)), device=self.fabric.device)
        return bool(self.fabric.all_reduce(flag, reduce_op="sum") > 0)

    def _save(self) -> None:
        # Not before the loss is known to be finite.
        self.metrics.fetch(self.epoch, self.step)
        states = random_state(self.fabric.device)
        states = {
            name: list(self.fabric.all_gather(value).view(self.world, -1)) for name, value in states.items()
        }
        if self.rank == 0:
            tree = {
                "module": self.module.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "best": self.best.state_dict(),
                "random": states,
                "counters": {
                    "epoch": self.epoch,
                    "step": self.step,
                    "total": self.total,
                },
                "sums": self.metrics.sums,
                "world": self.world,
            }
            rotate(self.dir / "last.ckpt", tree)
            self.best.checkpoint_written()
        self.fabric.barrier()

    def _resume(self) -> None:
        if self.rank == 0:
            self.dir.mkdir(parents=True, exist_ok=True)
            for leftover in self.dir.glob(".*.tmp"):
                leftover.unlink()
        self.fabric.barrier()
        # Let go of, for it is as large as model and optimiser together.
        tree, self._saved = self._saved, None
        if tree is None:
            return
        self.module.module.load_state_dict(tree["module"])
        self.optimizer.load_state_dict(tree["optimizer"])
        self.schedule.load_state_dict(tree["schedule"])
        self.best.load_state_dict(tree["best"])
        self.metrics.sums = dict(tree["sums"])
        counters = tree["counters"]
        self.epoch, self.step, self.total = counters["epoch"], counters["step"], counters["total"]
        # By today's stop_after, which may have been allowed to change.
        self.stopped = self.schedule.ended()
        if tree["world"] == self.world:
            states = {name: values[self.rank] for name, values in tree["random"].items()}
            set_random_state(states, self.fabric.device)
        else:
            # Dropout draws other numbers in any case: each process has random numbers of its own.
            torch.manual_seed((self.config.seed + self.total) * 1000 + self.rank)
            logger.info("begun by %d processes, continued by %d", tree["world"], self.world)
        logger.info("resumed at epoch %d, step %d of %d", self.epoch, self.step, self.steps)
