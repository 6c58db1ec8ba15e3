"""A table of results as rich, Markdown, LaTeX or CSV. What it says is in `rows`."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from grasp_bench.report import PLAIN_WIDTH, Format
from grasp_bench.report.published import Published
from grasp_bench.report.rows import Cell, ResultTable, TableColumn

NOTHING = "\u2013"  # an en dash, as in the paper's table


def render(table: ResultTable, form: Format) -> str:
    """The table as text, ending in a newline."""
    return _WRITERS[form](table)


def rich_table(table: ResultTable) -> RenderableType:
    """The table for a terminal."""
    grid = Table(show_lines=True)
    for heading in _headings(table):
        # As text: a label's brackets are not markup.
        grid.add_column(Text(heading), justify="left" if heading == "Horizon" else "right")
    for row in table.rows:
        line = [Text(f"H={row.horizon}")]
        for column in table.columns:
            cell = row.cells.get(column.label)
            line.append(_rich_cell(cell, column, table.unit))
            if column.published:
                published = column.published.get(row.horizon)
                line.append(Text(_published(published), style="dim"))
        grid.add_row(*line)
    return Group(grid, *(Text(note, style="dim") for note in table.notes))


def _rich_cell(cell: Cell | None, column: TableColumn, unit: str) -> Text:
    if cell is None:
        return Text(NOTHING)
    result = Text(_result(cell, column, unit), style="bold" if cell.best else "")
    return result.append(f"\n{_uncertainty(cell, column, unit)}", style="not bold dim")


def _plain(table: ResultTable) -> str:
    console = Console(file=io.StringIO(), width=PLAIN_WIDTH)
    with console.capture() as capture:
        console.print(rich_table(table))
    return capture.get()


def _markdown(table: ResultTable) -> str:
    headings = _headings(table)
    lines = [_markdown_line(headings), _markdown_line(["---"] * len(headings))]
    for row in table.rows:
        line = [f"H={row.horizon}"]
        for column in table.columns:
            cell = row.cells.get(column.label)
            if cell is None:
                line.append(NOTHING)
            else:
                result = _result(cell, column, table.unit)
                below = _uncertainty(cell, column, table.unit)
                line.append(f"{f'**{result}**' if cell.best else result}<br>{below}")
            if column.published:
                line.append(_published(column.published.get(row.horizon)))
        lines.append(_markdown_line(line))
    return "\n".join([*lines, "", *(f"- {note}" for note in table.notes)]) + "\n"


def _markdown_line(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _latex(table: ResultTable) -> str:
    headings = _headings(table)
    lines = [
        "% needs \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
        "\\toprule",
        " & ".join(_latex_text(heading) for heading in headings) + " \\\\",
        "\\midrule",
    ]
    for row in table.rows:
        line = [f"$H={row.horizon}$"]
        for column in table.columns:
            cell = row.cells.get(column.label)
            if cell is None:
                line.append("--")
            else:
                result = _latex_text(_result(cell, column, table.unit))
                bold = f"\\textbf{{{result}}}" if cell.best else result
                below = _latex_text(_uncertainty(cell, column, table.unit))
                line.append(f"{bold} {{\\scriptsize {below}}}")
            if column.published:
                line.append(_latex_text(_published(column.published.get(row.horizon))))
        lines.append(" & ".join(line) + " \\\\")
    lines += ["\\bottomrule", "\\end{tabular}"]
    for note in table.notes:
        lines += textwrap.wrap(note, 96, initial_indent="% ", subsequent_indent="% ")
    return "\n".join(lines) + "\n"


def _latex_text(text: str) -> str:
    for character in "%_&#":
        text = text.replace(character, f"\\{character}")
    return text.replace(NOTHING, "--")


def _csv(table: ResultTable) -> str:
    """One line per horizon; per planner the numbers that the other formats round."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    fields = (
        "success", "success_low", "success_high", "n", "median_time", "time_low", "time_high",
        "best", "p_against_best", "difference_low", "difference_high",
    )  # fmt: skip
    headings = ["horizon"]
    for column in table.columns:
        headings += [f"{column.label}_{field}" for field in fields]
        if column.published:
            headings += [f"{column.label}_paper_success", f"{column.label}_paper_median_seconds"]
    writer.writerow(headings)
    for row in table.rows:
        line: list[object] = [row.horizon]
        for column in table.columns:
            cell = row.cells.get(column.label)
            line += [None] * len(fields) if cell is None else _numbers(cell)
            if column.published:
                line += column.published.get(row.horizon) or (None, None)
        writer.writerow(line)
    return sheet.getvalue()


def _numbers(cell: Cell) -> list[object]:
    time, against = cell.time or (None, None), cell.against_best
    return [
        cell.rate, *cell.success, cell.trials, cell.median_time, *time, cell.best,
        *((against.p_value, *against.difference) if against else (None, None, None)),
    ]  # fmt: skip


def _headings(table: ResultTable) -> list[str]:
    headings = ["Horizon"]
    for column in table.columns:
        headings.append(column.title)
        if column.published:
            headings.append(f"{column.title} (paper)")
    return headings


def _result(cell: Cell, column: TableColumn, unit: str) -> str:
    if column.bound:
        return f"{cell.rate:.1%}"
    return f"{cell.rate:.1%} / {_time(cell.median_time, unit)}"


def _uncertainty(cell: Cell, column: TableColumn, unit: str) -> str:
    low, high = cell.success
    success = f"[{100 * low:.1f}, {100 * high:.1f}]"
    if column.bound or cell.time is None:
        return f"{success} n={cell.trials}"
    fastest, slowest = (_time(value, unit).removesuffix(f" {unit}") for value in cell.time)
    return f"{success} / [{fastest}, {slowest}] n={cell.trials}"


def _published(cell: Published | None) -> str:
    if cell is None:
        return NOTHING
    return f"{cell.success:.1%} / {_time(cell.median_seconds, 's')}"


def _time(value: float | None, unit: str) -> str:
    if value is None:
        return NOTHING
    digits = 2 if unit == "s" and value < 1 else 1 if unit == "s" else 0
    return f"{value:.{digits}f} {unit}"


_WRITERS: dict[Format, Callable[[ResultTable], str]] = {
    "rich": _plain,
    "markdown": _markdown,
    "latex": _latex,
    "csv": _csv,
}
