"""When this node of a fleet was last sure that it had every change: the time of a file in the home folder.

The node's agent sets it. Every process that has to know it reads it, which costs a microsecond.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from telnetsd.files.atomic import SECRET_FILE_MODE

CUT_OFF_S: Final = 30.0
"""After how long a node that was not sure since then counts as cut off."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """When this node was last current.

    Attributes:
        path: The file.
    """

    path: Path

    def note(self) -> None:
        """Note that this node is current now.

        Raises:
            OSError: The file cannot be made.
        """
        self.path.touch(SECRET_FILE_MODE)
        os.utime(self.path)

    def last(self) -> datetime | None:
        """Return when this node was last current (aware, UTC); None if it never was."""
        try:
            return datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
        except OSError:
            return None

    def cut_off_s(self, now: datetime) -> float:
        """Return for how many seconds this node has been cut off: 0 if it is not, or has been for a moment only."""
        last = self.last()
        seconds = float("inf") if last is None else (now - last).total_seconds()
        return seconds if seconds > CUT_OFF_S else 0.0
