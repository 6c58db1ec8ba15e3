"""Writes sheets as rich, Markdown, LaTeX, HTML, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from grasp_bench.analysis import PLAIN_WIDTH, Format
from grasp_bench.analysis.sheet import NOTHING, Entry, Sheet

_LATEX_CHARACTERS = {character: f"\\{character}" for character in "%_&#${}"} | {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "|": "\\textbar{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    NOTHING: "--",
}

_LATEX_NOTE = (
    "% needs \\usepackage{booktabs}; where a table is wider than the page, put its tabular into\n"
    "% \\resizebox{\\linewidth}{!}{...} of graphicx"
)

# They would end a line of a table.
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

# A minus sign, not a hyphen as within a word.
_NEGATIVE = re.compile(r"(?<![\w-])-(?=\d)")


def render(sheets: Sequence[Sheet], form: Format) -> str:
    """Writes the sheets as text that ends in a newline."""
    return _WRITERS[form](sheets)


def rich_sheets(sheets: Sequence[Sheet]) -> RenderableType:
    """Writes the sheets for a terminal."""
    return Group(*map(_rich_sheet, sheets))


def _rich_sheet(sheet: Sheet) -> RenderableType:
    grid = Table(show_lines=any(entry.below for row in sheet.rows for entry in row))
    for place, heading in enumerate(sheet.headings):
        # As text: a label's brackets are not markup.
        grid.add_column(Text(heading), justify="left" if place < sheet.labels else "right")
    for row in sheet.rows:
        grid.add_row(*map(_rich_entry, row))
    title = [Text(sheet.title, style="bold")] if sheet.title else []
    return Group(*title, grid, *(Text(note, style="dim") for note in sheet.notes))


def _rich_entry(entry: Entry) -> Text:
    text = Text(entry.text, style="bold" if entry.bold else "dim" if entry.dim else "")
    return text.append(f"\n{entry.below}", style="not bold dim") if entry.below else text


def _plain(sheets: Sequence[Sheet]) -> str:
    console = Console(file=io.StringIO(), width=PLAIN_WIDTH)
    with console.capture() as capture:
        console.print(rich_sheets(sheets))
    return capture.get()


def _markdown_sheet(sheet: Sheet) -> str:
    lines = [f"### {_one_line(sheet.title)}", ""] if sheet.title else []
    lines += [_markdown_line(sheet.headings), _markdown_line(["---"] * len(sheet.headings))]
    lines += [_markdown_line(map(_markdown_entry, row)) for row in sheet.rows]
    return "\n".join([*lines, "", *(f"- {_one_line(note)}" for note in sheet.notes)]) + "\n"


def _markdown_entry(entry: Entry) -> str:
    text = f"**{entry.text}**" if entry.bold else entry.text
    return f"{text}<br>{entry.below}" if entry.below else text


def _markdown_line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(_one_line(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def _one_line(text: str) -> str:
    return _CONTROL_CHARACTERS.sub(" ", text)


def _latex(sheets: Sequence[Sheet]) -> str:
    tables = "\n\\bigskip\n\n\\noindent".join(map(_latex_sheet, sheets))
    return f"{_LATEX_NOTE}\n\\noindent{tables}"


def _latex_sheet(sheet: Sheet) -> str:
    columns = "l" * sheet.labels + "r" * (len(sheet.headings) - sheet.labels)
    title = f"\\multicolumn{{{len(columns)}}}{{l}}{{{_latex_text(sheet.title)}}} \\\\"
    lines = [
        f"\\begin{{tabular}}{{{columns}}}",
        *([title] if sheet.title else []),
        "\\toprule",
        _latex_line(map(_latex_text, sheet.headings)),
        "\\midrule",
        *(line for row in sheet.rows for line in _latex_rows(row)),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    for note in sheet.notes:
        lines += textwrap.wrap(_one_line(note), 96, initial_indent="% ", subsequent_indent="% ")
    return "\n".join(lines) + "\n"


def _latex_rows(row: Sequence[Entry]) -> Iterator[str]:
    yield _latex_line(map(_latex_entry, row))
    if any(entry.below for entry in row):
        # On a line of its own: beside the numbers it would make the table twice as wide.
        yield _latex_line(f"{{\\scriptsize {_latex_text(entry.below)}}}" for entry in row)
        yield "\\addlinespace"


def _latex_line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + " \\\\"


def _latex_entry(entry: Entry) -> str:
    text = _latex_text(entry.text)
    return f"\\textbf{{{text}}}" if entry.bold else text


def _latex_text(text: str) -> str:
    escaped = "".join(_LATEX_CHARACTERS.get(character, character) for character in _one_line(text))
    return _NEGATIVE.sub("$-$", escaped)


def _html_sheet(sheet: Sheet) -> str:
    """Writes a fragment for any page: no style, but scopes and classes."""
    lines = ["<table>"]
    if sheet.title:
        lines.append(f"<caption>{escape(sheet.title)}</caption>")
    headings = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in sheet.headings)
    lines += [f"<thead><tr>{headings}</tr></thead>", "<tbody>"]
    for row in sheet.rows:
        cells = [f'<th scope="row">{_html_entry(entry)}</th>' for entry in row[: sheet.labels]]
        for entry in row[sheet.labels :]:
            kind = ' class="published"' if entry.dim else ""
            cells.append(f"<td{kind}>{_html_entry(entry)}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines += ["</tbody>", "</table>"]
    if sheet.notes:
        lines += ["<ul>", *(f"<li>{escape(note)}</li>" for note in sheet.notes), "</ul>"]
    return "\n".join(lines) + "\n"


def _html_entry(entry: Entry) -> str:
    text = f"<strong>{escape(entry.text)}</strong>" if entry.bold else escape(entry.text)
    return f'{text}<br><span class="below">{escape(entry.below)}</span>' if entry.below else text


def _csv(sheets: Sequence[Sheet]) -> str:
    file = io.StringIO()
    records = [record for sheet in sheets for record in sheet.records]
    # Sheets of several kinds have columns of their own.
    names = list(dict.fromkeys(name for record in records for name in record))
    writer = csv.writer(file, lineterminator="\n")
    lines: list[list[object]] = [[*names]]
    lines += [[record.get(name) for name in names] for record in records]
    for line in lines:
        writer.writerow([_one_line(value) if isinstance(value, str) else value for value in line])
    return file.getvalue()


def _json(sheets: Sequence[Sheet]) -> str:
    content = [
        {"title": sheet.title, "records": sheet.records, "notes": sheet.notes} for sheet in sheets
    ]
    return json.dumps(content, indent=2) + "\n"


_WRITERS: dict[Format, Callable[[Sequence[Sheet]], str]] = {
    "rich": _plain,
    "markdown": lambda sheets: "\n".join(map(_markdown_sheet, sheets)),
    "latex": _latex,
    "html": lambda sheets: "\n".join(map(_html_sheet, sheets)),
    "csv": _csv,
    "json": _json,
}
