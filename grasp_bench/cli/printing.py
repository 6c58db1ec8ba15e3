"""Prints tables, or writes them to a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from grasp_bench.analysis import PLAIN_WIDTH, Format

if TYPE_CHECKING:
    from rich.console import Console

    from grasp_bench.analysis.sheet import Sheet


def console() -> Console:
    """Returns the console that tables are printed on; only a terminal wraps them."""
    from rich.console import Console

    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=PLAIN_WIDTH)


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
        typer.echo(text, nl=False)
    else:
        write(output, text)
        typer.echo(output)


def write(path: Path, text: str) -> None:
    """Writes a text file, in a folder that need not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
