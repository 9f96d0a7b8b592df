"""How far a log has been read, on standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class ReadingBar:
    """A progress bar on standard error, if that is a terminal; it ends before the first row is printed."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("reading the audit log", total=total)
        self._progress.start()

    def show(self, done: int) -> None:
        """Show that `done` bytes have been read."""
        self._progress.update(self._task, completed=done)

    def end(self) -> None:
        """Remove the bar."""
        self._progress.stop()


@contextmanager
def reading_bar(total: int) -> Iterator[ReadingBar]:
    """Show how much of a log of `total` bytes has been read."""
    bar = ReadingBar(total)
    try:
        yield bar
    finally:
        bar.end()
