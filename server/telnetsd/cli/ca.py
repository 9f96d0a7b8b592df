"""telnetsd ca: show, crl, rotate, retire, renew-server, passphrase."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.serialization import Encoding

from telnetsd.administration.authority.authorities import (
    built_in_authorities,
    load_issuer,
    rewrite_crls,
    short_fingerprint,
)
from telnetsd.administration.authority.rotation import relock, renew_server, retire, rotate, rotate_without_key
from telnetsd.administration.installation.operator import by_operator
from telnetsd.cli.common import HomeOption, JsonOption, home_of, print_json, print_whole
from telnetsd.cli.passphrase import PassphraseOption, new_passphrase, passphrase_from
from telnetsd.pki.certificate import certificate_sha256
from telnetsd.pki.facts import days_left


class CrlFormat(StrEnum):
    """The encoding of a CRL."""

    PEM = "pem"
    DER = "der"


def show(context: typer.Context, json: JsonOption = False, home: HomeOption = None) -> None:
    """Show the built-in CA's certificates."""
    found = built_in_authorities(home_of(context, home))
    rows = [
        {
            "role": role,
            "subject": certificate.subject.rfc4514_string(),
            "until": certificate.not_valid_after_utc,
            "sha256": certificate_sha256(certificate),
        }
        for certificate, role in found
    ]
    if json:
        print_json(rows)
        return
    print_whole(
        ["role", "subject", "until", "days left", "fingerprint"],
        [
            (
                role,
                certificate.subject.rfc4514_string(),
                f"{certificate.not_valid_after_utc:%Y-%m-%d}",
                str(days_left(certificate.not_valid_after_utc, datetime.now(UTC))),
                f"SHA256:{certificate_sha256(certificate)}",
            )
            for certificate, role in found
        ],
    )


def crl(
    context: typer.Context,
    format: Annotated[  # noqa: A002 -- the option's name
        CrlFormat, typer.Option(metavar="pem|der", help="RFC 5280 requires DER at a CRL distribution point.")
    ] = CrlFormat.PEM,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Sign a new CRL, and print it."""
    where = home_of(context, home)
    signed = rewrite_crls(where, by_operator(), passphrase_from(passphrase_file))
    sys.stdout.buffer.write(signed.public_bytes(Encoding.PEM if format is CrlFormat.PEM else Encoding.DER))


def rotate_(
    context: typer.Context,
    lost_key: Annotated[
        bool, typer.Option("--lost-key", help="The key of the current CA is lost: rotate without it.")
    ] = False,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Create a new CA that issues from now on; what the old CA issued stays valid until its end, or `ca retire`."""
    where = home_of(context, home)
    previous = short_fingerprint(built_in_authorities(where)[0][0])
    if lost_key:
        passphrase = new_passphrase(passphrase_file, "the CA's key") if passphrase_file is not None else None
        made, warning = rotate_without_key(where, passphrase)
        typer.echo(
            f"the CA {previous} is still trusted, but no longer signs CRLs: a server elsewhere that requires one"
        )
        typer.echo("refuses its users when the last CRL expires; a revocation under it takes effect only here")
    else:
        made, warning = rotate(where, passphrase_from(passphrase_file))
    typer.echo(f"{made.subject.rfc4514_string()} issues from now on, until {made.not_valid_after_utc:%Y-%m-%d}")
    if not where.issuing_certificate.exists():
        typer.echo(f"{where.shown(where.ca_certificate)} has the new and the old root: distribute it with renewals")
    if warning:
        typer.echo(f"warning: the CRLs were not signed again: {warning}", err=True)
    typer.echo("next: telnetsd user renew NAME, for each user")
    typer.echo("      telnetsd ca renew-server")
    typer.echo(f"      telnetsd ca retire {previous}")


def retire_(
    context: typer.Context,
    fingerprint: Annotated[
        str, typer.Argument(metavar="FINGERPRINT", help="A previous CA's fingerprint, or its start; see `ca show`.")
    ],
    home: HomeOption = None,
) -> None:
    """Stop trusting a previous CA; the certificates that it issued are revoked."""
    count = retire(home_of(context, home), fingerprint)
    typer.echo(f"retired; {count} certificate{'' if count == 1 else 's'} ended with it")


def renew_server_(
    context: typer.Context,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="Replaces the current names; may be repeated."),
    ] = None,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Issue a new certificate and key to the server; a running server loads them."""
    where = home_of(context, home)
    made = renew_server(where, tuple(dict.fromkeys(name or ())), passphrase_from(passphrase_file))
    typer.echo(f"{where.shown(where.server_certificate)} is valid until {made.not_valid_after_utc:%Y-%m-%d}")


def passphrase_(
    context: typer.Context,
    passphrase_file: PassphraseOption = None,
    new_passphrase_file: Annotated[
        Path | None,
        typer.Option("--new-passphrase-file", metavar="FILE", help="The new passphrase; default: a prompt."),
    ] = None,
    no_passphrase: Annotated[bool, typer.Option("--none", help="Remove the encryption.")] = False,
    home: HomeOption = None,
) -> None:
    """Encrypt the CA's keys with a new passphrase."""
    where = home_of(context, home)
    load_issuer(where, ask := passphrase_from(passphrase_file))
    new = None if no_passphrase else new_passphrase(new_passphrase_file, "the CA's keys")
    keys = relock(where, ask, new)
    typer.echo(f"{'not encrypted' if new is None else 'encrypted'}: {', '.join(keys)}")
