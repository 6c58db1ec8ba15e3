"""The one error a user can mend, and how errors are put into a line of text."""

from __future__ import annotations

import os

_TRACEBACK = "Traceback (most recent call last):"
_OF_A_GROUP = ("  + ", "  | ")  # before each line of an exception group's own traceback
_LONGEST_LINE, _LONGEST_REASON = 2000, 300


class UserError(Exception):
    """Bad input. The message names the bad value, what was expected and what to do."""


def os_error_sentence(error: OSError) -> str:
    """Says which file cannot be used and why."""
    if error.filename is None:
        return str(error)
    return f"cannot use '{os.fsdecode(error.filename)}': {error.strerror or error}"


def one_line(text: str, longest: int = _LONGEST_LINE) -> str:
    """Returns a text as one line: control characters and lone surrogates escaped, the middle cut.

    Args:
        text: whatever somebody else wrote.
        longest: characters that are kept.
    """
    if len(text) > longest:
        text = f"{text[: longest // 2]} ... {text[-longest // 2 :]}"
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def describe(error: BaseException) -> str:
    """Names an exception and the first line of its message, whatever that is made of."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # a message that cannot be made is none
        lines = []
    return one_line(
        f"{type(error).__name__}: {lines[0] if lines else 'no message'}", _LONGEST_REASON
    )


def error_summary(text: str) -> str:
    """Returns the line of a traceback that names the exception.

    What follows it is more of its message: advice for debugging in the case of CUDA.
    """
    lines = [line for line in text.splitlines() if line.strip()] or ["no message"]
    lines = [line[4:] if line.startswith(_OF_A_GROUP) else line for line in lines]
    starts = (_TRACEBACK, f"Exception Group {_TRACEBACK}")
    last = max((n for n, line in enumerate(lines) if line in starts), default=-1)
    named = [n for n, line in enumerate(lines) if n > last >= 0 and not line[0].isspace()]
    found = named[0] if named else len(lines) - 1
    message_begins_below = lines[found].rstrip().endswith(":")
    return one_line(" ".join(lines[found : found + 1 + message_begins_below]), _LONGEST_REASON)
