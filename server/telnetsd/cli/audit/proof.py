"""telnetsd audit verify, checkpoint, key: verifying the audit log. Reading it is in `audit_reading`."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from telnetsd.administration.installation.audit_key import change_audit_key
from telnetsd.administration.installation.audit_log import is_log_gone, open_log, remembered_end
from telnetsd.audit.chain import EMPTY, ChainError, Head, Link
from telnetsd.audit.checkpoint import PublicKeys, read_checkpoint
from telnetsd.audit.key import load_public_keys
from telnetsd.audit.reading.archive import Snapshot, read_lines, take_files, take_snapshot
from telnetsd.audit.reading.verification import Expectation, Report
from telnetsd.audit.reading.verification import verify as verify_lines
from telnetsd.cli.audit.progress import reading_bar
from telnetsd.cli.common import HomeOption, JsonOption, console, home_of, print_json
from telnetsd.errors import OperatorError
from telnetsd.events.reason import CheckpointReason
from telnetsd.files.home import Home


def verify(
    context: typer.Context,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE …]", help="Check only these files, not the whole log.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The public key, instead of certs/audit.pem.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Prove that the log still contains what `audit checkpoint` exported."),
    ] = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Check order, chain, signatures, beginning and end. Exit status 1 if something is wrong."""
    where = home_of(context, home)
    keys = load_public_keys(key or where.audit_public_keys)
    exported = _read_exported(checkpoint, keys) if checkpoint else None
    witnessed = EMPTY if files else remembered_end(where)
    snapshot = take_files(files) if files else _take_whole(where, witnessed)
    expected = Expectation(keys, snapshot.seal, not files, exported, witnessed)
    with reading_bar(snapshot.size) as bar:
        report = verify_lines(read_lines(snapshot, bar.show), expected)
    if json:
        print_json(report)
    else:
        _print_report(report, describe_report(report, len(snapshot.parts), exported, witnessed))
    if report.damage is not None:
        raise typer.Exit(1)


def checkpoint(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to FILE, not to standard output.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Sign the log as it is now, and export the checkpoint; keep it elsewhere, for `audit verify --checkpoint`."""
    with closing(open_log(home_of(context, home))) as log:
        line = log.checkpoint(CheckpointReason.REQUESTED)
    if output is None:
        typer.echo(line)
    else:
        output.write_bytes(line + b"\n")
        typer.echo(f"{output}: to prove later that the log contains it: telnetsd audit verify --checkpoint {output}")


def key_(
    context: typer.Context,
    new: Annotated[bool, typer.Option("--new", help="Create a new key; previous keys still verify.")] = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show the public key that an auditor needs, or generate a new key."""
    where = home_of(context, home)
    if new:
        change_audit_key(where)
    keys = list(load_public_keys(where.audit_public_keys).by_id)
    if json:
        print_json({"file": str(where.audit_public_keys), "key_ids": keys})
        return
    typer.echo(f"{where.shown(where.audit_public_keys)}: give this file to the people who verify the log")
    for number, key_id in enumerate(keys):
        typer.echo(f"  {key_id}  {'signs now' if number == 0 else 'signed before'}")


def _take_whole(home: Home, witnessed: Head) -> Snapshot:
    """Take a snapshot of the whole log; a log that is missing, but is remembered, counts as one without lines.

    Raises:
        OperatorError: There is no log, and never was one; or it cannot be read.
    """
    if witnessed != EMPTY and is_log_gone(home):
        return Snapshot((), b"")
    return take_snapshot(home.audit_file)


def _read_exported(path: Path, keys: PublicKeys) -> Link:
    try:
        return read_checkpoint(path.read_bytes().strip(), keys)
    except ChainError as error:
        raise OperatorError(f"{path} is not what `audit checkpoint` exported: {error}") from error


def _print_report(report: Report, sentences: list[str]) -> None:
    screen, damage = console(), report.damage
    if damage is not None:
        where = f"{damage.file} line {damage.line}" if damage.line else "the log"
        screen.print(Text(f"{damage.kind.value}: {where}: {damage.message}", style="bold red"), soft_wrap=True)
    else:
        screen.print(Text("intact", style="bold green"))
    for line in sentences:
        screen.print(Text(f"  {line}"), soft_wrap=True)


def describe_report(report: Report, files: int, exported: Link | None = None, witnessed: Head = EMPTY) -> list[str]:
    """Return what a verification has found, as sentences; `witnessed` is the line that state.db remembers."""
    if not report.events:
        return ["no line is intact"]
    keys = ", ".join(key_id[:16] for key_id in report.key_ids) or "no key"
    held = f"lines {report.first_sequence} to {report.last_sequence}"
    said = [
        f"{held} are intact, in {files} file{'' if files == 1 else 's'}",
        f"written {report.first_at[:19]} to {report.last_at[:19]} UTC",
        f"signed lines among them: {report.checkpoints}, by {keys}",
    ]
    if report.pruned:
        said.append(f"lines 1 to {report.pruned} were removed by retention, according to the log")
    elif report.is_partial:
        said.append(f"lines 1 to {report.first_sequence - 1} are not in these files")
    if report.damage is None and report.unsealed:
        said.append(f"the last {report.unsealed} are not sealed yet: a writer was killed; the next one records it")
    elif report.damage is None and report.last_sequence < witnessed.sequence:
        what = f"state.db has line {witnessed.sequence}, but this log ends with line {report.last_sequence}"
        proof = "an exported checkpoint would prove it: audit verify --checkpoint FILE"
        said.append(f"{what}: was an older copy restored? {proof}")
    elif report.damage is None:
        said.append(
            "nothing is missing after them: the seal proves it" if report.is_sealed else "the last one closes a file"
        )
    if report.damage is None and exported is not None:
        said.append(f"the exported checkpoint, line {exported.head.sequence}, is among them")
    return [*said, *_describe_notes(report)]


def _describe_notes(report: Report) -> Iterator[str]:
    """Yield what the log itself says about lines that are missing, although its chain is intact."""
    what = {
        "restored from a backup, which may have replaced lines": report.restored,
        "damaged before": report.damaged,
    }
    for words, lines in what.items():
        if lines:
            yield f"the log says that it was {words}: line{'s' * (len(lines) > 1)} {', '.join(map(str, lines))}"
