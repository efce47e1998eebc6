"""Split a list into one part a job."""

from __future__ import annotations

import contextlib
from itertools import islice
from pathlib import Path

from svmixer.errors import SvmixerError
from svmixer.fileio import atomic_write
from svmixer.lists.errors import ListError


def split_list(path: str | Path, jobs: int, output: str) -> list[Path]:
    """Write consecutive parts of a list whose lengths differ by one at most; the files written, in order.

    Args:
        path: any list; its lines are copied byte by byte.
        jobs: number of parts.
        output: where part n goes: a path in whose file name ``JOB`` stands for n, counted from 1.

    Raises:
        ListError: the list has fewer lines than there are jobs, or cannot be read; nothing is written.
        ValueError: ``jobs`` is less than 1, or the file name of ``output`` does not have ``JOB``.
    """
    name = Path(output).name
    if jobs < 1 or "JOB" not in name:
        what = "expected one job or more and a file name with JOB in it"
        raise SvmixerError(f"{what}, got {jobs} and '{output}'")
    parts = [Path(output).with_name(name.replace("JOB", str(job))) for job in range(1, jobs + 1)]
    try:
        with open(path, "rb") as stream, contextlib.ExitStack() as stack:
            lines = sum(1 for _ in stream)
            if lines < jobs:
                what = f"{lines} lines cannot be split over {jobs} jobs"
                raise ListError(what, path=path, repair=f"--nj {lines}" if lines else None)
            stream.seek(0)
            for job, part in enumerate(parts):
                writer = stack.enter_context(atomic_write(part, "wb"))
                writer.writelines(islice(stream, lines * (job + 1) // jobs - lines * job // jobs))
                writer.flush()
    except OSError as error:
        raise ListError(f"cannot be split: {error.strerror}: {error.filename}", path=path) from None
    return parts
