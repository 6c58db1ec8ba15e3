"""Loads objects that a user names as `file.py:Name` or `module:Name`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from grasp_bench.core.errors import UserError


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
    try:
        module = _load_file(path) if where.endswith(".py") else _load_module(where)
    except (Exception, SystemExit) as error:
        reason = (str(error).splitlines() or ["no message"])[0]
        raise UserError(
            f"{kind} '{spec}': '{where}' does not load: {type(error).__name__}: {reason}"
        ) from error
    if not hasattr(module, attribute):
        raise UserError(f"{kind} '{spec}': '{where}' does not define '{attribute}'")
    return getattr(module, attribute)


def file_sha256(item: object) -> str | None:
    """Returns the SHA-256 of the file that defines a class or function, None without one."""
    try:
        file = inspect.getsourcefile(item)  # type: ignore[arg-type]
    except TypeError:
        return None
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None


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
