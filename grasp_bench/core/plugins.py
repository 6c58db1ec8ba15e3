"""Loads objects that a user names as `file.py:Name` or `module:Name`, and guards their use."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import TextIOBase
from pathlib import Path
from types import ModuleType
from typing import Any

from grasp_bench.core.errors import UserError, describe

SHOWN = 10_000  # characters of what other people's code prints


class Overheard(TextIOBase):
    """Passes the beginning of what other people's code prints on to stderr.

    Attributes:
        printed: characters so far.
    """

    def __init__(self) -> None:
        self.printed = 0
        self._stderr = sys.stderr

    def write(self, text: str) -> int:
        """Takes a text."""
        if self.printed < SHOWN and self._stderr is not None:
            self._stderr.write(text[: SHOWN - self.printed])
        self.printed += len(text)
        return len(text)


@contextmanager
def foreign_code(what: str) -> Iterator[None]:
    """Guards a call of other people's code: stdout stays ours, and what it raises is a sentence.

    Raises:
        UserError: `what` and the exception, whatever that was but the user's Ctrl-C.
    """
    heard = Overheard()
    try:
        with redirect_stdout(heard), redirect_stderr(heard):
            yield
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise UserError(f"{what}: {describe(error)}") from error


def is_spec(name: str) -> bool:
    """Tells whether a name is `file.py:Name` or `module:Name`."""
    where, colon, attribute = name.rpartition(":")
    return bool(where and colon and attribute.isidentifier())


def load_object(kind: str, spec: str) -> Any:
    """Returns the object that `file.py:Name` or `module:Name` names.

    A module is looked for in the working directory, too.

    Raises:
        UserError: no such file, module or name, or loading it raises anything.
    """
    where, _, attribute = spec.rpartition(":")
    path = Path(where)
    if where.endswith(".py") and not path.is_file():
        raise UserError(f"{kind} '{spec}': there is no file '{path}'")
    with foreign_code(f"{kind} '{spec}': '{where}' does not load"):
        module = _load_file(path) if where.endswith(".py") else _load_module(where)
        if not hasattr(module, attribute):
            raise UserError(f"{kind} '{spec}': '{where}' does not define '{attribute}'")
        return getattr(module, attribute)


def file_sha256(item: object) -> str | None:
    """Returns the SHA-256 of the file that defines a class or function, None without one."""
    try:
        file = inspect.getsourcefile(item)  # type: ignore[arg-type]
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
    except (TypeError, OSError):
        return None


def _load_module(name: str) -> ModuleType:
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a console script starts without it
    return importlib.import_module(name)


def _load_file(path: Path) -> ModuleType:
    source = path.read_bytes()
    name = f"{path.stem}_{hashlib.sha256(source).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while it loads
    try:
        # Not from a cache, which takes an edit of the same size and second for no edit.
        exec(compile(source, path.resolve(), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module
