"""Defines a table that any format can be written from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from grasp_bench.analysis.stats import SIGNIFICANCE

NOTHING = "\u2013"  # an en dash, as in the paper's table


@dataclass(frozen=True)
class Entry:
    """Holds one cell.

    Attributes:
        text: its content.
        below: in smaller print, such as intervals.
        bold: as the best of its kind.
        dim: as a number of other people's.
    """

    text: str
    below: str = ""
    bold: bool = False
    dim: bool = False


def p_value_text(value: float) -> str:
    """Writes a p-value to stand behind a "p": "= 0.031", or "< 0.0001" below that."""
    return "< 0.0001" if value < 1e-4 else f"= {value:.2g}"


def difference_text(change: float, interval: Iterable[float], p_value: float, form: str) -> str:
    """Writes a paired difference with its interval and p-value, starred if it is significant."""
    low, high = interval
    star = "*" if p_value < SIGNIFICANCE else ""
    return f"{change:{form}} [{low:{form}}, {high:{form}}] p {p_value_text(p_value)}{star}"


@dataclass(frozen=True)
class Sheet:
    """Holds one table.

    Attributes:
        headings: of its columns.
        rows: as many entries each.
        records: a line of CSV or an object of JSON each, numbers unrounded; all the same keys.
        notes: sentences to stand under it.
        title: above it, empty if it is the only one.
        labels: leading columns that name a row.
    """

    headings: list[str]
    rows: list[list[Entry]]
    records: list[dict[str, object]]
    notes: list[str] = field(default_factory=list)
    title: str = ""
    labels: int = 1

    def transposed(self, corner: str) -> Sheet:
        """Turns columns to rows under a heading `corner`; one leading column names rows."""
        headings = [corner, *(row[0].text for row in self.rows)]
        columns = zip(*(row[1:] for row in self.rows), strict=True)
        rows = [
            [Entry(heading), *column]
            for heading, column in zip(self.headings[1:], columns, strict=True)
        ]
        return replace(self, headings=headings, rows=rows)
