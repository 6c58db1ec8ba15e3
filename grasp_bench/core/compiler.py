"""Compiles C kernels for this machine's processor, once, into the user's cache.

Without a C compiler there are none, and torch's own operations do the work. The environment
variable `GRASP_BENCH_COMPILE=0` asks for that.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

_FLAGS = "-std=gnu11 -O3 -march=native -fno-math-errno -fno-trapping-math -shared -fPIC"
_SECONDS = 120.0


def compiler_version() -> str | None:
    """Names the C compiler, None where there is none or none is to be used."""
    return _version(tuple(_compiler())) if _wanted() else None


def compiled(source: Path) -> ctypes.CDLL | None:
    """Loads the functions of a C file, None where it cannot be compiled or is not to be."""
    return _compiled(source, tuple(_compiler())) if _wanted() else None


def _wanted() -> bool:
    return os.environ.get("GRASP_BENCH_COMPILE") != "0"


@cache
def _version(compiler: Sequence[str]) -> str | None:
    lines = _output([*compiler, "--version"]).splitlines()
    return lines[0] if lines else None


@cache
def _compiled(source: Path, compiler: Sequence[str]) -> ctypes.CDLL | None:
    version = _version(compiler)
    if version is None:
        return None
    # A home may be shared by machines whose processors know other instructions.
    target = _output([*compiler, "-march=native", "-E", "-v", "-x", "c", os.devnull])
    preprocessed = _output([*compiler, *shlex.split(_FLAGS), "-E", str(source)])
    made_of = "\n".join([preprocessed, _FLAGS, version, target])
    name = f"{source.stem}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.so"
    with suppress(subprocess.SubprocessError):
        with suppress(OSError):
            return _load(compiler, source, _cache() / name)
        with suppress(OSError):  # a home that cannot be written to
            return _load(compiler, source, Path(tempfile.mkdtemp(prefix="grasp-bench-")) / name)
    return None


def _load(compiler: Sequence[str], source: Path, library: Path) -> ctypes.CDLL:
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            made = Path(folder) / library.name
            command = [*compiler, *shlex.split(_FLAGS), str(source), "-o", str(made)]
            subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
            made.replace(library)
    return ctypes.CDLL(str(library))


def _compiler() -> list[str]:
    return shlex.split(os.environ.get("CC", "")) or ["cc"]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grasp-bench"


def _output(command: list[str]) -> str:
    """Returns what a command prints, nothing if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return (done.stdout + done.stderr).decode(errors="replace")
