"""Measurements in processes of their own: the peak memory is theirs, threads are set before torch starts.

:func:`apart` runs a function of a benchmark script; this file, run as a program, is the other end of it.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What the libraries read when they are loaded.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def apart(function: Callable[..., Any], num_threads: int, **arguments: Any) -> Any:
    """What ``function(**arguments)`` returns in a fresh process that has ``num_threads`` threads.

    Args:
        function: at the top level of a script of this folder.
        num_threads: of torch and of the libraries below NumPy.
        arguments: JSON values, as what it returns must be.

    Raises:
        SystemExit: it failed; its own messages stand above.
    """
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(num_threads))}
    module = Path(sys.modules[function.__module__].__file__ or "").stem
    command = [sys.executable, __file__, module, function.__name__, json.dumps(arguments)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{module}.{function.__name__}({arguments}): exit status {done.returncode}")
    # Packages print what they like; the answer is the last line.
    return json.loads(done.stdout.rstrip().rpartition("\n")[2])


def peak_mib() -> float:
    """Peak resident memory of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage, whose peak starts with that of the process that started this one.
        lines = dict(line.partition(":")[::2] for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1 << 20 if sys.platform == "darwin" else 1 << 10
    )


def threads() -> int:
    """The threads that :func:`apart` asked for; torch is given them if it is loaded."""
    number = int(os.environ[THREAD_VARIABLES[0]])
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(number)
    return number


if __name__ == "__main__":
    name, function, arguments = sys.argv[1:]
    answer = getattr(importlib.import_module(name), function)(**json.loads(arguments))
    print(json.dumps(answer))
