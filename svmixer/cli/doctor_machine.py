"""``svmixer doctor``: audio libraries, disk, memory, processors, GPU and dispatchers of this machine."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from svmixer.cli.finding import Finding

TOOLS = Path(__file__).resolve().parents[2] / "tools"
# Below these a recipe hardly runs.
LITTLE_DISK, LITTLE_MEMORY = 1e9, 1e9  # bytes
# Flags of /proc/cpuinfo that the 8-bit graphs are fast with.
FEATURES = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx_vnni": "AVX-VNNI"}


def check_sndfile() -> Finding:
    """libsndfile, which reads WAV, FLAC, Ogg and MP3."""
    try:
        import soundfile
    except (ImportError, OSError) as error:
        return Finding(
            "libsndfile", "fail", f"cannot be loaded: {error}", "pip install --force-reinstall soundfile"
        )
    missing = {"WAV", "FLAC", "OGG", "MP3"} - set(soundfile.available_formats())
    found = soundfile.__libsndfile_version__
    if missing:
        what = f"{found}, without {', '.join(sorted(missing))}"
        return Finding("libsndfile", "warn", what, "pip install --upgrade soundfile")
    return Finding("libsndfile", "ok", f"{found}, with WAV, FLAC, Ogg and MP3")


def check_ffmpeg() -> Finding:
    """PyAV with FFmpeg's libraries, which read what libsndfile does not."""
    if find_spec("av") is None:
        what = "not installed: M4A, AAC, WebM and AMR cannot be read"
        return Finding("PyAV", "warn", what, "pip install 'svmixer[audio]'")
    import av

    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return Finding("PyAV", "ok", f"{av.__version__}, libavcodec {codec}")


def check_programs() -> Finding:
    """What commands in wav.scp often call."""
    found = {name: shutil.which(name) for name in ("sox", "ffmpeg")}
    there = ", ".join(path for path in found.values() if path)
    missing = ", ".join(name for name, path in found.items() if not path)
    if missing:
        there += f"{'; ' if there else ''}no {missing}, which only commands in a wav.scp may need"
    return Finding("programs", "ok", there)


def check_disk() -> Iterator[Finding]:
    """Room and permission to write where results and temporary files go."""
    for name, folder in (("working folder", os.getcwd()), ("temporary files", tempfile.gettempdir())):
        free = shutil.disk_usage(folder).free
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            yield Finding(name, "warn", f"{folder}: {error.strerror}", "go to a folder that you may write to")
            continue
        found = f"{folder}: {free / 1e9:.1f} GB free"
        if free < LITTLE_DISK:
            yield Finding(name, "warn", found, "make room; the default recipe needs some GB")
        else:
            yield Finding(name, "ok", found)


def check_memory(root: str | Path = "/") -> Finding:
    """What is free, within the limit of a container; ``root`` is where /proc and /sys are."""
    root = Path(root)
    try:
        text = (root / "proc/meminfo").read_text()
    except OSError:
        return Finding("memory", "ok", "unknown: this system has no /proc/meminfo")
    free = 1024 * int(re.search(r"^MemAvailable: +(\d+) kB", text, re.M)[1])
    group = root / "sys/fs/cgroup"
    if (group / "memory.max").is_file() and (most := (group / "memory.max").read_text().strip()) != "max":
        used = int((group / "memory.current").read_text())
        if (group / "memory.stat").is_file():
            # Files that were read and can go at any time.
            cached = re.search(r"^inactive_file (\d+)", (group / "memory.stat").read_text(), re.M)
            used -= int(cached[1]) if cached else 0
        free = min(free, int(most) - used)
    found = f"{free / 1e9:.1f} GB free"
    if free < LITTLE_MEMORY:
        return Finding("memory", "warn", found, "end other programs; a training needs several GB")
    return Finding("memory", "ok", found)


def check_processors(root: str | Path = "/") -> Finding:
    """Number and instructions; ``root`` is where /proc is."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = f"{usable} usable, {platform.machine()}"
    try:
        flags = re.search(r"^flags\s*: (.*)$", (Path(root) / "proc/cpuinfo").read_text(), re.M)
    except OSError:
        flags = None
    if flags is None:
        return Finding("processors", "ok", found)
    known = [name for flag, name in FEATURES.items() if flag in flags[1].split()]
    found += f" with {', '.join(known)}" if known else " without AVX2"
    if "AVX2" not in known:
        return Finding("processors", "warn", found, "expect models to be several times slower")
    return Finding("processors", "ok", found)


def check_gpu() -> Finding:
    """What PyTorch sees, if it is installed."""
    if find_spec("torch") is None:
        return Finding("GPU", "ok", "not looked for: PyTorch is not installed, models run on the CPU")
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return Finding("GPU", "ok", f"{', '.join(names)}; PyTorch {torch.__version__}")
    if shutil.which("nvidia-smi"):
        what = f"nvidia-smi is here, but PyTorch {torch.__version__} finds no GPU"
        return Finding("GPU", "warn", what, "see docs/install.md, GPUs")
    return Finding("GPU", "ok", f"none; PyTorch {torch.__version__} runs on the CPU")


def check_dispatchers(tools: Path = TOOLS) -> Finding:
    """Slurm and Grid Engine, and what starts jobs on them."""
    programs = {"slurm": "sbatch", "sge": "qsub"}
    found = {backend: shutil.which(name) for backend, name in programs.items()}
    there = [f"{path} (cmd_backend={backend})" for backend, path in found.items() if path]
    text = ", ".join(there) if there else "neither sbatch nor qsub: jobs run on this machine"
    if not (tools / "run.pl").is_file():
        return Finding("dispatchers", "ok", f"{text}; recipes need the checkout, this is the package alone")
    if not shutil.which("perl"):
        return Finding(
            "dispatchers", "warn", "no perl, which run.pl, slurm.pl and queue.pl need", "install perl"
        )
    return Finding("dispatchers", "ok", text)
