"""telnetsd recording list, verify; its other verbs are in `recording_play` and `recording_search`."""

from pathlib import Path
from typing import Annotated

import typer

from telnetsd.audit.reading.row import short_session_id
from telnetsd.cli.common import HomeOption, JsonOption, home_of, print_json, print_table, print_whole
from telnetsd.errors import OperatorError
from telnetsd.lines.recordings.name import ZSTD_SUFFIX, plain_name
from telnetsd.lines.recordings.playback import find_recording, list_recordings
from telnetsd.lines.recordings.vouched import Vouched, is_vouched_for, list_vouched


def list_(context: typer.Context, json: JsonOption = False, home: HomeOption = None) -> None:
    """List the recordings that the audit log vouches for."""
    where = home_of(context, home)
    found = list_vouched(where.audit_file)
    existing = {plain_name(one.name) for one in list_recordings(where.recordings_folder)}
    if json:
        print_json(found)
        return
    print_whole(
        ["closed (UTC)", "line", "user", "session", "size", "file"],
        [
            (
                one.at[:19].replace("T", " "),
                one.line,
                one.user or "-",
                short_session_id(one.session) or "-",
                f"{one.size}{'' if one.is_whole else ' (cut)'}",
                one.file if one.file in existing else f"{one.file} ({'removed' if one.is_removed else 'missing'})",
            )
            for one in found
        ],
    )


def verify(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME …]", help="Verify only these, not all recordings.")
    ] = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Compare recordings with what the audit log vouches for. Exit status 1 if one is not."""
    where = home_of(context, home)
    vouched = {one.file: one for one in list_vouched(where.audit_file)}
    existing = {plain_name(one.name): one for one in list_recordings(where.recordings_folder)}
    if names:
        wanted = [plain_name(find_recording(where.recordings_folder, name).name) for name in names]
    else:
        wanted = sorted({*vouched, *existing})
    verdicts = [(name, _judge(existing.get(name), vouched.get(name))) for name in wanted]
    if json:
        print_json([{"file": name, "verdict": verdict} for name, verdict in verdicts])
    else:
        print_table(["file", "verdict"], verdicts)
    if any(verdict in _BAD for _, verdict in verdicts):
        raise typer.Exit(1)


_BAD = {"changed", "missing", "unknown"}
_OPEN = "not vouched for: it is still being recorded, or its server was killed"


def _judge(path: Path | None, vouched: Vouched | None) -> str:
    if vouched is None:
        is_open = path is not None and path.suffix != ZSTD_SUFFIX
        return _OPEN if is_open else "unknown"
    if path is None:
        return "removed by retention" if vouched.is_removed else "missing"
    try:
        return "intact" if is_vouched_for(path, vouched) else "changed"
    except OperatorError:
        # It cannot be read to its end: it is not what was closed.
        return "changed"
