"""Names to objects, extended by installed packages through entry points."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from grasp_bench.errors import UserError

T = TypeVar("T")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A closing phrase for an unknown name: the nearest known one, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names)}"


def find(kind: str, name: str, known: Mapping[str, T]) -> T:
    """The object of that name.

    Raises:
        UserError: no such name.
    """
    if name not in known:
        raise UserError(f"unknown {kind} '{name}': {did_you_mean(name, known)}")
    return known[name]


class Registry(Generic[T]):
    """Objects by name: the built-in ones plus those of an entry-point group."""

    def __init__(self, kind: str, group: str) -> None:
        self._kind = kind
        self._group = group
        self._own: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files an object under `name`."""

        def add(item: T) -> T:
            if name in self._own:
                raise ValueError(f"{self._kind} '{name}' is registered twice")
            self._own[name] = item
            return item

        return add

    def names(self) -> list[str]:
        """All names, built-in ones first."""
        plugins = sorted({e.name for e in entry_points(group=self._group)} - set(self._own))
        return [*self._own, *plugins]

    def get(self, name: str) -> T:
        """The object of that name.

        Raises:
            UserError: no such name, or the plugin that offers it does not load.
        """
        if name in self._own:
            return self._own[name]
        for entry in entry_points(group=self._group):
            if entry.name == name:
                try:
                    loaded: T = entry.load()
                except Exception as error:
                    raise UserError(
                        f"{self._kind} '{name}' of the installed package "
                        f"'{entry.value}' does not load: {error}"
                    ) from error
                return loaded
        raise UserError(f"unknown {self._kind} '{name}': {did_you_mean(name, self.names())}")
