"""Which of PyTorch's devices can be used here: one check for every place that is told one."""

from __future__ import annotations

import torch

from svmixer.errors import SvmixerError


class DeviceError(SvmixerError):
    """A device that is none, or that this machine has not got; the message says what there is."""


def find_device(name: str | torch.device) -> torch.device:
    """The device ``name``: ``cpu``, ``cuda``, ``cuda:1`` … or another of PyTorch's.

    Raises:
        DeviceError: PyTorch knows no such device, or it cannot be used here.
    """
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise DeviceError(f"device: '{name}' is none; there are cpu, cuda, cuda:1 …") from None
    if device.type == "cuda":
        found = count_gpus(1, "device cpu works everywhere")
        if (device.index or 0) >= found:
            raise DeviceError(f"device: '{name}' is not here; GPUs of this machine: {_gpus(found)}")
        return device
    try:
        torch.zeros(1, device=device).tolist()
    except (RuntimeError, AssertionError, NotImplementedError, ImportError):
        raise DeviceError(f"device: '{name}' cannot be used here; device cpu works everywhere") from None
    return device


def count_gpus(wanted: int, instead: str) -> int:
    """How many GPUs can be used here, which are ``wanted`` at least.

    Args:
        wanted: 1 or more.
        instead: what to do without; the end of the message.

    Raises:
        DeviceError: there are fewer.
    """
    # Dispatchers show a job the GPUs that it was given and no others.
    found = torch.cuda.device_count()
    if not found:
        raise DeviceError(f"no GPU can be used here (PyTorch sees none); {instead}")
    if found < wanted:
        raise DeviceError(f"{wanted} GPUs are asked for, this machine has {_gpus(found)}; {instead}")
    return found


def _gpus(count: int) -> str:
    return "one, cuda:0" if count == 1 else f"{count}, cuda:0 to cuda:{count - 1}"
