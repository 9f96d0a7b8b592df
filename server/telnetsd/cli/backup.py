"""telnetsd backup, restore."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from telnetsd.administration.backup.applying import Applied
from telnetsd.administration.backup.archive import Manifest
from telnetsd.administration.backup.later import LaterLog
from telnetsd.administration.backup.making import make_backup
from telnetsd.administration.backup.restoring import Restored, RestoreOptions, restore_backup
from telnetsd.cli.common import HomeOption, fail_usage, home_of, place_of, size_words
from telnetsd.cli.passphrase import PassphraseOption, new_passphrase, passphrase_from, password_from
from telnetsd.events.fields import parse_timestamp
from telnetsd.files.home import Home

_KEY_ID_CHARS = 16


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup to write, as in telnetsd.tar.zst.")],
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Include the private keys, encrypted with a passphrase.")
    ] = False,
    key_passphrase_file: Annotated[
        Path | None,
        typer.Option("--password-file", metavar="FILE", help="With --with-keys: the passphrase; else it is asked."),
    ] = None,
    with_recordings: Annotated[
        bool, typer.Option("--with-recordings", help="Include the recordings of lines.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Back up configuration, users, certificates and audit log; the server may be running."""
    where = home_of(context, home)
    _end_in_order()
    if key_passphrase_file is not None and not with_keys:
        fail_usage("--password-file encrypts the keys: add --with-keys")
    passphrase = new_passphrase(key_passphrase_file, "the keys in the backup") if with_keys else None
    made = make_backup(where, file, passphrase, has_recordings=with_recordings)
    typer.echo(f"{file}: {made.files} files, {size_words(made.size)}; the audit log up to line {made.head.sequence}")
    typer.echo(f"  SHA-256 {made.sha256}")
    if with_keys:
        typer.echo(f"  {len(made.keys)} private files, such as keys, encrypted with the passphrase")
    else:
        typer.echo(f"  without {len(made.keys)} private files, such as keys; to include them: --with-keys")
    if not with_recordings and where.recordings_folder.exists():
        typer.echo("  without recordings; to include them: --with-recordings")


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")],
    log: Annotated[
        Path | None,
        typer.Option(
            "--log", metavar="DIR", help="The folder of a later log: what it took away after the backup stays so."
        ),
    ] = None,
    without_log: Annotated[
        bool, typer.Option("--without-log", help="Use no later log: what it took away is valid again.")
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Accept only a backup that the log's public key FILE has signed."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Move an existing installation aside, into a folder beside it.")
    ] = False,
    key_passphrase_file: Annotated[
        Path | None,
        typer.Option(
            "--password-file", metavar="FILE", help="The passphrase of the backup's keys; else it is asked."
        ),
    ] = None,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Restore a backup; the server must not be running."""
    where = place_of(context, home)
    if log is not None and without_log:
        fail_usage("--log and --without-log exclude each other")
    _end_in_order()
    options = RestoreOptions(
        log_folder=log,
        is_without_log=without_log,
        public_keys=key,
        is_forced=force,
        ask_backup=password_from(key_passphrase_file, str(file)),
        ask_ca=passphrase_from(passphrase_file),
    )
    restored = restore_backup(where, file, options)
    typer.echo(f"restored {where.root} from the backup of {_when(restored.manifest)}")
    typer.echo(f"  signed by the audit key {restored.manifest.key_id[:_KEY_ID_CHARS]}")
    for line in _report(where, restored):
        typer.echo(f"  {line}")
    typer.echo("next: telnetsd check, then telnetsd serve")


def _end_in_order() -> None:
    """End as by ^C if the process is terminated: keys that were extracted are removed again."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))


def _when(manifest: Manifest) -> str:
    at = parse_timestamp(manifest.taken_at)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else manifest.taken_at


def _report(home: Home, restored: Restored) -> Iterator[str]:
    """Yield what an operator has to know after a restore."""
    last = restored.manifest.last_sequence
    if restored.later is None:
        yield f"no later log was used: what was changed after line {last} is lost,"
        yield "  also revocations and removals; repeat them, or restore again with --log DIR"
    else:
        yield from _report_later(last, restored.later, restored.applied)
    if restored.moved_aside is not None:
        yield f"the former installation is in {home.shown(restored.moved_aside)}, with its keys"
    if restored.has_other_configuration:
        yield "telnetsd.toml is that of the backup; compare it with the former one"
    if restored.old_crls:
        yield f"as old as the backup, fetch them again: certs/crl/{', certs/crl/'.join(restored.old_crls)}"
    if restored.has_new_audit_key:
        yield "the audit key was not in the backup: a new one signs from now on;"
        yield "  give certs/audit.pem to the people who verify the log"
    # Users have their own keys.
    missing = [one for one in restored.missing_keys if one != "certs/audit.key" and "/users/" not in one]
    if missing:
        yield "private files that are not in the backup; put them back:"
        yield from (f"  {name}" for name in missing)
    if restored.warning:
        yield f"no new CRL was signed: {restored.warning}"


def _report_later(last: int, later: LaterLog, applied: Applied) -> Iterator[str]:
    done = ", ".join(f"{count} {what}{'s' * (count != 1)}" for what, count in sorted(applied.done.items()))
    if later.last_sequence > last:
        lines = f"from line {last + 1} to line {later.last_sequence}"
        yield f"applied from the log, {lines}: {done or 'nothing to apply'}"
    if later.damage:
        yield f"the log is damaged: {later.damage};"
        yield "  what it no longer has is lost, also revocations; see: telnetsd audit verify"
    if applied.unknown:
        yield f"revoked after the backup, and unknown to it: {applied.unknown} certificates, which no CRL lists"
    if applied.left_out:
        yield f"left out, since no signature covers them: {applied.left_out} changes that would give something back"
    if applied.users:
        names = ", ".join(applied.users)
        yield f"users who were added or given certificates after the backup, which are lost: {names}"
    for what in applied.again:
        yield f"to do again: {what}"
