"""Keeps numbers of tables on one line with what belongs to them: `0.19 s`, `p = 0.03`."""

from __future__ import annotations

import re
from typing import Any

_NO_BREAK = "\u00a0"
_SPACES = re.compile(
    r"(?<=[,/=<≥→:]) (?=[\u2212+\d.])"  # before a number
    r"|(?<=\bp) (?=[=<])"
    r"|(?<=\d) (?=(?:s|ms|px)\b)"
)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replaces such spaces in the rows of tables."""
    lines = markdown.split("\n")
    return "\n".join(_SPACES.sub(_NO_BREAK, x) if x.startswith("|") else x for x in lines)
