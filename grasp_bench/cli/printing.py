"""Prints tables, or writes them to a file. Any text can be printed on any terminal."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from grasp_bench.analysis import PLAIN_WIDTH, Format
from grasp_bench.core.files import named_in_errors

if TYPE_CHECKING:
    from rich.console import Console

    from grasp_bench.analysis.sheet import Sheet


# What a terminal without them shows instead; all else is a question mark.
_LOOK_ALIKES = {"✓": "+", "✗": "x", "\N{EN DASH}": "-", "…": "~", "←": "<"}


def print_anything() -> None:
    """Has stdout and stderr replace what their encoding lacks, where they raised an error."""
    codecs.register_error("look-alike", _look_alike)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="look-alike", line_buffering=True)


def _look_alike(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    shown = (
        # A lone surrogate stands for a byte of a file name, which its number tells.
        f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else _LOOK_ALIKES.get(c, "?")
        for c in characters
    )
    return "".join(shown), error.end


def console() -> Console:
    """Returns the console that tables are printed on; only a terminal wraps them.

    It shows every text as it is: brackets and colons are no markup.
    """
    from rich.console import Console

    as_it_is = partial(Console, markup=False, emoji=False, highlight=False)
    terminal = as_it_is()
    return terminal if terminal.is_terminal else as_it_is(width=PLAIN_WIDTH)


def show(sheets: Sequence[Sheet], form: Format, output: Path | None = None) -> None:
    """Prints sheets, in colour where the terminal has it, or writes them to a file."""
    from grasp_bench.analysis.writers import render, rich_sheets

    if form == "rich" and output is None:
        console().print(rich_sheets(sheets))
    else:
        emit(render(sheets, form), output)


def show_list(headings: list[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints rows of text under headings."""
    from grasp_bench.analysis.sheet import Entry, Sheet

    entries = [list(map(Entry, row)) for row in rows]
    show([Sheet(headings, entries, [], labels=len(headings))], "rich")


def emit(text: str, output: Path | None) -> None:
    """Prints text as it is, or writes it to a file and prints the file's name."""
    if output is None:
        print(text, end="")
    else:
        write(output, text)
        print(output)


def write(path: Path, text: str) -> None:
    """Writes a text file, in a folder that need not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with named_in_errors(path):
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
