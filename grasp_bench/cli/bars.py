"""Makes progress bars for commands that take long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


def progress_bars() -> Progress:
    """Returns bars that show a count, the time and, in the field `note`, a text."""
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = *Progress.get_default_columns(), TimeElapsedColumn(), MofNCompleteColumn()
    return Progress(*columns, TextColumn("{task.fields[note]}"))


@contextmanager
def late_bar(title: str, note: str = "") -> Iterator[Callable[[int, int | None], None]]:
    """Shows one bar once there is something to show: a command that is refused prints nothing.

    Yields:
        A function that takes how much is done and how much there is, if that is known.
    """
    progress = progress_bars()
    with ExitStack() as shown:

        def report(done: int, total: int | None) -> None:
            if not progress.task_ids:
                shown.enter_context(progress)
                progress.add_task(title, note=note)
            progress.update(progress.task_ids[0], completed=done, total=total)

        yield report
