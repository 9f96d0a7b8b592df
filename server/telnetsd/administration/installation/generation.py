"""Everything that a server needs from its home folder, loaded and checked, before a socket is opened."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from telnetsd.commands import fleet
from telnetsd.commands.loading import load_commands
from telnetsd.commands.programs import make_commands
from telnetsd.commands.table import BUILT_IN_ROLES, CommandTable
from telnetsd.config.address import LOCALHOST
from telnetsd.config.loading import load_settings
from telnetsd.config.settings import CommandSettings, Settings
from telnetsd.errors import OperatorError
from telnetsd.files.home import Home, require_secret
from telnetsd.identity.assurance import make_classes
from telnetsd.identity.cert_to_name import IssuedEntry, make_entry
from telnetsd.identity.identify import Policy
from telnetsd.lines.table import LineTable
from telnetsd.pki.authority import utc_now
from telnetsd.pki.certificate import certificate_sha256
from telnetsd.pki.crl import RevocationLists, load_revocation_lists
from telnetsd.pki.keys import ClassicalPrivateKey, MlDsaPrivateKey, key_from_pem
from telnetsd.pki.trust import Trust, TrustAnchor, load_certificates, make_trust

EXPIRY_WARNING_DAYS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One generation of everything that is loaded."""

    settings: Settings
    table: CommandTable
    lines: LineTable
    trust: Trust
    policy: Policy
    server_chain: tuple[x509.Certificate, ...]
    server_key: ClassicalPrivateKey
    authority_pem: str
    """The CA certificates by which clients verify the server, in PEM; empty if they are not the built-in CA's."""


def load_generation(
    home: Home, before: RevocationLists | None = None, settings: Settings | None = None
) -> Generation:
    """Load a home folder.

    Args:
        home: The installation.
        before: The CRLs of the previous generation; those whose files have not changed are kept.
        settings: The configuration to use instead of the current file's.
    Raises:
        OperatorError: Something is missing, cannot be read, is open to others, or is inconsistent.
    """
    settings = settings or load_settings(home.config_file)
    table = load_table(settings)
    trust = load_home_trust(home, before)
    chain, key = load_server_pair(home)
    lines = load_lines(home, settings)
    return Generation(
        settings=settings,
        table=table,
        lines=lines,
        trust=trust,
        policy=make_policy(home, settings, trust),
        server_chain=chain,
        server_key=key,
        authority_pem=_authority_of(home, chain[-1]),
    )


def _authority_of(home: Home, last: x509.Certificate) -> str:
    """Return the content of certs/ca.pem, if a CA in it has issued the last certificate of the server's chain."""
    try:
        content = home.ca_certificate.read_bytes()
        authorities = x509.load_pem_x509_certificates(content)
    except (OSError, ValueError):
        return ""
    return content.decode("ascii", "replace") if any(_has_issued(one, last) for one in authorities) else ""


def _has_issued(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def load_table(settings: Settings) -> CommandTable:
    """Build the table of the commands and the roles.

    Raises:
        OperatorError: They are inconsistent.
    """
    _refuse_unknown_roles(settings)
    programs = make_commands(settings.command)
    demands = {
        **{one.name: CommandSettings(min_class=one.min_class) for one in settings.command},
        **settings.commands,
    }
    of_fleet = [fleet.join] if settings.fleet.name else []
    return CommandTable([*load_commands(), *of_fleet, *programs], settings.roles, demands)


def _refuse_unknown_roles(settings: Settings) -> None:
    """Refuse the name of an undefined role, wherever the configuration grants or requires one."""
    granted = {
        **{f"[[listener.also]] {one.listen!r}": one.roles for one in settings.listener.also},
        **{f"[[line]] {one.name!r}": one.roles for one in settings.line},
        **{f"[[command]] {one.name!r}": one.roles for one in settings.command},
        **{f"[[cert_to_name]] {one.id!r}": one.roles or () for one in settings.cert_to_name},
    }
    for where, roles in granted.items():
        for role in roles:
            if role not in BUILT_IN_ROLES and role not in settings.roles:
                raise OperatorError(f"wrong {where} in telnetsd.toml: no role {role!r}; define [roles.{role}]")


def load_lines(home: Home, settings: Settings) -> LineTable:
    """Build the table of the lines.

    Raises:
        OperatorError: A line cannot be built; the message names it.
    """
    lines = LineTable(settings.line, home.root)
    for line in lines:
        line.of_kind.require()
    return lines


def load_home_trust(home: Home, before: RevocationLists | None = None) -> Trust:
    """Load the trust anchors, the intermediates and the CRLs.

    Raises:
        OperatorError: One cannot be read or used.
    """
    crls = [(path, home.shown(path)) for path in sorted(home.crl_folder.glob("*")) if is_crl_file(path)]
    loaded = load_revocation_lists(crls, before or RevocationLists())
    trust = replace(load_home_authorities(home), crls=loaded)
    # Check the signatures once, here: for a long CRL this takes half a second.
    trust.crls.find_problems(trust.authorities, utc_now())
    return trust


def load_home_authorities(home: Home) -> Trust:
    """Load the trust anchors and the intermediates, but no CRLs: a long CRL takes seconds.

    Raises:
        OperatorError: One cannot be read or used.
    """
    built_in = [home.ca_certificate] if home.ca_certificate.exists() else []
    anchors = _certificates_in(home, [*built_in, *sorted(home.trust_folder.glob("*.pem"))])
    if not anchors and home.state_file.exists():
        raise OperatorError("certs/ca.pem is missing, but state.db has its users; restore a backup: telnetsd restore")
    own = [home.issuing_certificate] if home.issuing_certificate.exists() else []
    helpers = [*own, *sorted(home.previous_folder.glob("*.pem")), *sorted(home.intermediates_folder.glob("*.pem"))]
    intermediates = tuple(one.certificate for one in _certificates_in(home, helpers))
    return make_trust(anchors, intermediates)


def is_crl_file(path: Path) -> bool:
    """Tell, by its name, whether a file in the CRL folder is a CRL."""
    return path.suffix in {".pem", ".crl", ".der"} and not path.name.startswith(".")


def make_policy(home: Home, settings: Settings, trust: Trust) -> Policy:
    """Build the policy: what the operator decided about which clients are admitted.

    Raises:
        OperatorError: An entry of the mapping could never name a user.
    """
    source = home.shown(home.ca_certificate)
    built_in = [certificate_sha256(one.certificate) for one in trust.anchors if one.source == source]
    mapped = tuple(map(make_entry, settings.cert_to_name))
    for entry in mapped:
        if entry.fingerprint_sha256 in built_in:
            raise OperatorError(
                f"wrong entry {entry.id!r} under [[cert_to_name]] in telnetsd.toml: its fingerprint is that of the"
                " built-in CA, whose users are in state.db; use that of another CA"
            )
    return Policy(
        entries=(*map(IssuedEntry, built_in), *mapped),
        classes=make_classes(settings.classes, settings.trust_anchor, built_in),
        built_in=frozenset(built_in),
        crl_policy=settings.identity.crl_policy,
        require_certificate=settings.identity.require_certificate,
    )


def load_server_chain(home: Home) -> tuple[x509.Certificate, ...]:
    """Load the server's certificate with its chain.

    Raises:
        OperatorError: It is missing or cannot be read.
    """
    shown = home.shown(home.server_certificate)
    try:
        return tuple(x509.load_pem_x509_certificates(home.server_certificate.read_bytes()))
    except FileNotFoundError:
        raise OperatorError(f"no server certificate at {shown}; run: telnetsd init") from None
    except Exception as error:
        # As with every certificate: the X.509 library may raise any exception.
        raise OperatorError(f"cannot read {shown}: {error}; put back a PEM certificate") from error


def load_server_pair(home: Home) -> tuple[tuple[x509.Certificate, ...], ClassicalPrivateKey]:
    """Load the server's certificate with its chain, and its key.

    Raises:
        OperatorError: A file is missing or cannot be read, the two do not match, or the key is open to others.
    """
    chain = load_server_chain(home)
    require_secret(home, home.server_key, "put it back, or run: telnetsd ca renew-server")
    shown = home.shown(home.server_key)
    try:
        key = key_from_pem(home.server_key.read_bytes())
    except (OSError, ValueError) as error:
        raise OperatorError(f"cannot read {shown}: {error}; put back an unencrypted PEM key") from error
    if isinstance(key, MlDsaPrivateKey):
        raise OperatorError(f"{shown} is an ML-DSA key, which few clients verify; run: telnetsd ca renew-server")
    if key.public_key() != chain[0].public_key():
        raise OperatorError(f"{shown} is not the key of certs/server.pem; put back the matching pair")
    return chain, key


def server_names(home: Home) -> tuple[str, ...]:
    """Return the host names and addresses of the server's certificate.

    Raises:
        OperatorError: It is missing or cannot be read.
    """
    try:
        names = load_server_chain(home)[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = (str(one) for one in names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)


def server_name(home: Home) -> str:
    """Return the name by which clients reach the server: the first host name of its certificate, or localhost."""
    return next((name for name in server_names(home) if not _is_address(name)), LOCALHOST)


def _is_address(name: str) -> bool:
    return ":" in name or name.rpartition(".")[2].isdigit()


def _certificates_in(home: Home, files: list[Path]) -> tuple[TrustAnchor, ...]:
    return tuple(one for path in files for one in load_certificates(path, home.shown(path)))
