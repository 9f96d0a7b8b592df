"""Everything that a server needs from its home folder, loaded and checked, before a socket is opened."""

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from telnetsd.commands.loading import load_commands
from telnetsd.commands.table import CommandTable
from telnetsd.config import Settings, load_settings
from telnetsd.errors import OperatorError
from telnetsd.home import Home, require_secret
from telnetsd.identity.cert_to_name import CertToNameEntry, built_in_entry
from telnetsd.pki.authority import Authority, PrivateKey, load_authority
from telnetsd.pki.certificate import certificate_sha256
from telnetsd.pki.trust import Trust, load_trust

EXPIRY_WARNING_DAYS: Final = 30
LOCALHOST: Final = "localhost"


@dataclass(frozen=True, slots=True)
class Material:
    """One generation of everything that is loaded; `entries` is the cert-to-name mapping, in order."""

    settings: Settings
    table: CommandTable
    trust: Trust
    entries: tuple[CertToNameEntry, ...]
    server_chain: tuple[x509.Certificate, ...]
    server_key: PrivateKey


def load_material(home: Home) -> Material:
    """Load a home folder.

    Raises:
        OperatorError: Something is missing, cannot be read, is open to others, or does not fit.
    """
    settings = load_settings(home.config_file)
    table = CommandTable(load_commands(), settings.roles)
    trust = load_home_trust(home)
    chain, key = load_server_pair(home)
    return Material(settings, table, trust, _entries(home, trust), chain, key)


def load_home_trust(home: Home) -> Trust:
    """Load the built-in CA's certificate and the further trust anchors.

    Raises:
        OperatorError: One cannot be read or used.
    """
    built_in = [home.ca_certificate] if home.ca_certificate.exists() else []
    further = sorted(home.trust_folder.glob("*.pem"))
    return load_trust([(path, home.shown(path)) for path in (*built_in, *further)])


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
    except (OSError, ValueError) as error:
        raise OperatorError(f"cannot read {shown}: {error}; put back a PEM certificate") from error


def load_server_pair(home: Home) -> tuple[tuple[x509.Certificate, ...], PrivateKey]:
    """Load the server's certificate with its chain, and its key.

    Raises:
        OperatorError: One is missing or cannot be read, they do not fit, or the key is open to others.
    """
    chain = load_server_chain(home)
    require_secret(home, home.server_key)
    shown = home.shown(home.server_key)
    try:
        key = load_pem_private_key(home.server_key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise OperatorError(f"cannot read {shown}: {error}; put back an unencrypted PEM key") from error
    if not isinstance(key, PrivateKey):
        raise OperatorError(f"{shown} is of a kind that is not taken; use EC, RSA or Ed25519")
    if key.public_key() != chain[0].public_key():
        raise OperatorError(f"{shown} is not the key of certs/server.pem; put back the pair that belongs together")
    return chain, key


def load_home_authority(home: Home) -> Authority:
    """Load the built-in CA, able to sign.

    Raises:
        OperatorError: It is missing, cannot be read, or its key is open to others.
    """
    require_secret(home, home.ca_key)
    try:
        return load_authority(home.ca_certificate.read_bytes(), home.ca_key.read_bytes())
    except OSError as error:
        raise OperatorError(f"cannot read the built-in CA: {error}; check the modes of certs/ca.*") from error


def server_name(home: Home) -> str:
    """Return the name that clients call the server by: the first host name of its certificate, or localhost."""
    try:
        names = load_server_chain(home)[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return LOCALHOST
    return next(iter(names.get_values_for_type(x509.DNSName)), LOCALHOST)


def _entries(home: Home, trust: Trust) -> tuple[CertToNameEntry, ...]:
    source = home.shown(home.ca_certificate)
    return tuple(
        built_in_entry(certificate_sha256(anchor.certificate)) for anchor in trust.anchors if anchor.source == source
    )
