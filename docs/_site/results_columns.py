"""Writes the columns of a results file where a page says `<!-- columns -->`, from the schema."""

from __future__ import annotations

from typing import Any

from grasp_bench.run import schema

_PARTS = {
    "The trial": schema.TRIAL,
    "The outcome": schema.OUTCOME,
    "Settings, the same in a whole run folder": schema.SETTINGS,
    "The machine": schema.SYSTEM,
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replaces the mark by one table for each part of a row."""
    return markdown.replace("<!-- columns -->", "\n\n".join(map(_section, _PARTS)))


def _section(title: str) -> str:
    rows = [f"| `{c.name}` | {c.type} | {c.description} |" for c in _PARTS[title]]
    return "\n".join([f"## {title}", "", "| column | type | meaning |", "|---|---|---|", *rows])
