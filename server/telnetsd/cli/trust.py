"""telnetsd trust: add, list, remove."""

from pathlib import Path
from typing import Annotated

import typer

from telnetsd.administration.authority.trust import add_trust, list_trust, remove_trust
from telnetsd.cli.common import HomeOption, JsonOption, home_of, print_json, print_whole
from telnetsd.escaping import escape
from telnetsd.pki.certificate import TEXT_MAX_CHARS, certificate_sha256


def add(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CA certificates in PEM.")],
    intermediate: Annotated[
        bool, typer.Option("--intermediate", help="Use only to build paths to a trust anchor, not as an anchor.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Trust a CA to vouch for users; [[cert_to_name]] says which of its certificates belong to users."""
    where = home_of(context, home)
    for certificate in add_trust(where, file, is_intermediate=intermediate):
        subject = escape(certificate.subject.rfc4514_string(), TEXT_MAX_CHARS)
        if intermediate:
            typer.echo(f"known: {subject}")
            continue
        typer.echo(f"trusted: {subject}")
        typer.echo("map its users in telnetsd.toml, for example:")
        typer.echo("  [[cert_to_name]]")
        typer.echo('  id = "company-mail"')
        typer.echo(f'  fingerprint = "SHA256:{certificate_sha256(certificate)}"')
        typer.echo('  map_type = "san-rfc822-name"')
        typer.echo('  pattern = "{name}@example.com"')
        typer.echo('  roles = ["user"]')
        typer.echo('put its CRL into certs/crl/, unless [identity] crl_policy is "prefer"')


def list_(context: typer.Context, json: JsonOption = False, home: HomeOption = None) -> None:
    """List the trust anchors and the intermediates."""
    rows = [
        {
            "is": "trust anchor" if one.is_anchor else "intermediate",
            "source": one.source,
            "subject": escape(one.certificate.subject.rfc4514_string(), TEXT_MAX_CHARS),
            "until": f"{one.certificate.not_valid_after_utc:%Y-%m-%d}",
            "sha256": certificate_sha256(one.certificate),
        }
        for one in list_trust(home_of(context, home))
    ]
    if json:
        print_json(rows)
        return
    print_whole(
        ["kind", "file", "subject", "until", "fingerprint"],
        [(row["is"], row["source"], row["subject"], row["until"], f"SHA256:{row['sha256']}") for row in rows],
    )


def remove(
    context: typer.Context,
    fingerprint: Annotated[
        str, typer.Argument(metavar="FINGERPRINT", help="The CA's fingerprint, or its start; see `trust list`.")
    ],
    home: HomeOption = None,
) -> None:
    """Stop trusting a CA; open sessions that depend on it end within a second."""
    certificate = remove_trust(home_of(context, home), fingerprint)
    typer.echo(f"no longer trusted: {escape(certificate.subject.rfc4514_string(), TEXT_MAX_CHARS)}")
