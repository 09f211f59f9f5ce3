"""What is compiled: kept from one start to the next on JAX, and the same bits each time where that is asked for."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

from specdsl.cache import cache_folder
from specdsl.declaration import Misuse

_LARGEST = 1 << 30
"""Bytes of compiled programs that are kept; those that were made longest ago go first."""

_WORTH = 0.5
"""Seconds that a program must take to compile to be kept."""

_SAME_BITS = "xla_gpu_deterministic_ops"


def keep_compiled(jax: Any) -> None:
    """Let JAX keep compiled programs in the user's cache folder, to be found by what they were made from and with.

    JAX's own variables go before: `JAX_COMPILATION_CACHE_DIR` with another folder, `JAX_ENABLE_COMPILATION_CACHE=0`,
    and `JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS`. Where the folder cannot be written nothing is kept.

    Args:
        jax: the module.
    """
    config = jax.config
    if config.jax_compilation_cache_dir or not config.jax_enable_compilation_cache or not can_keep():
        return
    folder = cache_folder() / "jax" / f"{version('jaxlib')}-{_features()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tidy(folder.parent, _LARGEST)
    except OSError:
        return
    config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        config.update("jax_persistent_cache_min_compile_time_secs", _WORTH)


def can_keep(processor: str | None = None) -> bool:
    """Whether XLA takes back what it has compiled, as far as is known.

    On a GPU it does. On a processor it compiles for what that one can do, so that it must be known what that is, which
    is asked of Linux alone; and of an Intel processor with AVX-512 it takes nothing back, with an error message for
    each program (openxla/xla#44565).

    Args:
        processor: what `/proc/cpuinfo` says, by default that of this machine.
    """
    if _has_plugin():
        return True
    text = _processor() if processor is None else processor
    return bool(text) and not ("GenuineIntel" in text and "avx512" in text)


def tidy(folder: Path, largest: int) -> None:
    """Remove the oldest files within a folder, down to so many bytes. Other processes may do the same at once."""
    files = []
    for path in folder.rglob("*"):
        with suppress(OSError):  # gone already
            if path.is_file():
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
    held = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if held <= largest:
            break
        path.unlink(missing_ok=True)
        held -= size


def before_deterministic(backend: str) -> None:
    """Say what must be said before a framework starts, that it may be deterministic on a GPU.

    A word of the user's in `XLA_FLAGS` stays: what comes last there holds.

    Raises:
        Misuse: `XLA_FLAGS` says the contrary, or JAX runs already without.
    """
    if backend == "torch":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if backend != "jax":
        return
    flags = os.environ.get("XLA_FLAGS", "").split()
    said = [flag for flag in flags if flag.lstrip("-").split("=")[0] == _SAME_BITS]
    if said:
        if said[-1].lower().endswith(("=false", "=0")):
            raise Misuse(
                f"XLA_FLAGS says {said[-1]}, and the same bits each time are asked for", argument="deterministic"
            )
        return
    bridge = sys.modules.get("jax._src.xla_bridge")
    if set(getattr(bridge, "_backends", ())) - {"cpu"}:
        raise Misuse(
            "JAX already runs in this process, and was not told to give the same bits each time",
            argument="deterministic",
            help=f"set XLA_FLAGS=--{_SAME_BITS}=true before",
        )
    os.environ["XLA_FLAGS"] = " ".join([*flags, f"--{_SAME_BITS}=true"])


def be_deterministic(backend: str, framework: Any) -> None:
    """Tell a framework that runs to be deterministic on a GPU; JAX was told before it started."""
    if backend == "tensorflow":
        framework.config.experimental.enable_op_determinism()
    elif backend == "torch":
        framework.use_deterministic_algorithms(True)
        framework.backends.cudnn.benchmark = False


def _has_plugin() -> bool:
    """Whether JAX has a plugin for an accelerator, and may use it."""
    if os.environ.get("JAX_PLATFORMS", "").lower() == "cpu":
        return False
    return bool(entry_points(group="jax_plugins"))


def _processor() -> str:
    """What Linux says of the first processor; nothing elsewhere."""
    try:
        return Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return ""


def _features() -> str:
    """A word for what the processor can do and how many threads it runs: what is made for one is not for another."""
    lines = (line.partition(":") for line in _processor().splitlines())
    kept = ("vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU implementer", "CPU part")
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    told = [
        platform.machine(),
        str(threads),
        os.environ.get("NPROC", ""),
        *(value.strip() for name, _, value in lines if name.strip() in kept),
    ]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
