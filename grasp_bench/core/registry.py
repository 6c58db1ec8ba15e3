"""Finds objects by name; installed packages add theirs through entry points."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from grasp_bench.core.errors import UserError
from grasp_bench.core.plugins import foreign_code, is_spec, load_object

T = TypeVar("T")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Ends a sentence about an unknown name: with the nearest known one, or with all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names)}"


def find(kind: str, name: str, known: Mapping[str, T]) -> T:
    """Returns the object of that name.

    Raises:
        UserError: no such name.
    """
    if name not in known:
        raise UserError(f"unknown {kind} '{name}': {did_you_mean(name, known)}")
    return known[name]


class Registry(Generic[T]):
    """Finds objects by name: built-in ones, an entry-point group's, or a file's or module's."""

    def __init__(self, kind: str, group: str) -> None:
        self._kind = kind
        self._group = group
        self._own: dict[str, T] = {}
        self._lazy: dict[str, str] = {}

    def add(self, name: str, item: T) -> None:
        """Files an object under `name`."""
        self._own[name] = item

    def add_lazy(self, name: str, spec: str) -> None:
        """Files `module:Name` under `name`; the module is imported when it is asked for."""
        self._lazy[name] = spec

    def names(self) -> list[str]:
        """Lists all names, built-in ones first."""
        built_in = [*self._own, *self._lazy]
        plugins = {entry.name for entry in entry_points(group=self._group)} - set(built_in)
        return [*built_in, *sorted(plugins)]

    def get(self, name: str) -> T:
        """Returns the object of that name, or what `file.py:Name` or `module:Name` names.

        Raises:
            UserError: no such name, or the plugin that offers it does not load.
        """
        if name in self._own:
            return self._own[name]
        spec = self._lazy.get(name, name)
        if is_spec(spec):
            loaded: T = load_object(self._kind, spec)
            return loaded
        for entry in entry_points(group=self._group):
            if entry.name == name:
                what = f"{self._kind} '{name}' of the installed package '{entry.value}'"
                with foreign_code(f"{what} does not load"):
                    plugin: T = entry.load()
                    return plugin
        if name.rstrip(":").endswith(".py"):
            raise UserError(f"{self._kind} '{name}': name what it defines too, as file.py:Name")
        raise UserError(f"unknown {self._kind} '{name}': {did_you_mean(name, self.names())}")
