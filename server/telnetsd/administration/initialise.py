"""Creating a home folder: CA, server certificate, audit key, a configuration to edit, an empty state."""

from dataclasses import dataclass
from socket import gethostname
from typing import Final

from cryptography import x509

from telnetsd.administration.authority.authorities import encode_chain, rewrite_crls
from telnetsd.administration.authority.rotation import (
    CA_NAME,
    ISSUING_NAME,
    SERVER_CA_NAME,
    ca_name,
    require_host_name,
)
from telnetsd.audit.key import make_audit_key
from telnetsd.config.address import is_address
from telnetsd.config.documents import template
from telnetsd.errors import OperatorError
from telnetsd.events.part import Fields
from telnetsd.files.atomic import make_secret_folder, write_public, write_secret
from telnetsd.files.home import Home, close_to_others
from telnetsd.pki.authority import Authority, create_root, to_pem, utc_now
from telnetsd.pki.keys import KeyType, MlDsaPrivateKey, key_to_pem
from telnetsd.state.opening import open_store

BY_INIT: Final[Fields] = {"telnetsd": {"operator": {"name": "init"}}}
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Initialised:
    """What was created; `issuing` is the certificate of the intermediate, if there is one."""

    ca: x509.Certificate
    issuing: x509.Certificate | None
    server: x509.Certificate
    names: tuple[str, ...]


def initialise(
    home: Home,
    names: tuple[str, ...],
    *,
    listen: str = "",
    has_intermediate: bool = False,
    passphrase: bytes | None = None,
    key_type: KeyType = KeyType.EC,
) -> Initialised:
    """Create a home folder.

    Args:
        home: The home folder.
        names: Host names and addresses that clients will use, in addition to the names of the local machine.
        listen: The address in the configuration; empty: the default.
        has_intermediate: Whether an intermediate issues certificates, so that the root's key can be kept elsewhere.
        passphrase: Encrypts the CA's keys.
        key_type: The type of the CA's keys. With ML-DSA, a separate P-256 CA issues the server's own certificate:
            OpenSSL before 3.5, which most clients have, cannot verify ML-DSA.
    Raises:
        OperatorError: A CA already exists, a name is neither a host name nor an address, or `listen` is no address,
            or there is a configuration that would not get it.
    """
    if home.ca_certificate.exists():
        raise OperatorError(f"a CA already exists: {home.ca_certificate}; choose another home folder with --home")
    for name in names:
        require_host_name(name)
    if listen and not is_address(listen):
        raise OperatorError(f"not an address: {listen!a}; write HOST:PORT, as in 0.0.0.0:992 or [::]:992")
    configuration = template(listen).encode()
    if listen and home.config_file.exists() and home.config_file.read_bytes() != configuration:
        raise OperatorError(f"{home.config_file} exists; write the address there: [listener] listen")
    all_names = tuple(dict.fromkeys((*names, *LOCAL_NAMES)))
    make_folders(home)
    # Left over from an interrupted `init`: nothing that it created was ever used.
    left_over = home.issuing_certificate, home.issuing_key, home.server_ca_certificate, home.audit_public_keys
    for path in left_over:
        path.unlink(missing_ok=True)
    if not home.config_file.exists():
        write_public(home.config_file, configuration)
    open_store(home, create=True).close()
    now = utc_now()
    host = names[0] if names else gethostname()
    root = create_root(ca_name(CA_NAME, host), now, int(has_intermediate), key_type)
    issuer = _make_intermediate(home, root, host, passphrase) if has_intermediate else root
    has_server_ca = isinstance(root.key, MlDsaPrivateKey)
    server_issuer = _make_server_ca(home, host, passphrase) if has_server_ca else issuer
    server = server_issuer.issue_server(all_names, now)
    write_secret(home.server_key, key_to_pem(server.key))
    write_public(home.server_certificate, encode_chain(server.certificate, server_issuer))
    write_secret(home.ca_key, key_to_pem(root.key, passphrase))
    make_audit_key(home)
    # The CA's certificate is written last: a home folder that has it is complete.
    write_public(home.ca_certificate, to_pem(root.certificate, *server_issuer.chain if has_server_ca else ()))
    rewrite_crls(home, BY_INIT, lambda: passphrase or b"")
    return Initialised(
        root.certificate, issuer.certificate if has_intermediate else None, server.certificate, all_names
    )


def make_folders(home: Home) -> None:
    """Create the folders of a home folder, closed to other users."""
    for folder in (home.certs_folder, home.users_folder, home.audit_file.parent, home.control_socket.parent):
        make_secret_folder(folder)
    for folder in (home.trust_folder, home.intermediates_folder, home.crl_folder):
        folder.mkdir(exist_ok=True)
        close_to_others(folder)
    # An existing folder and an existing configuration may be writable by a group.
    close_to_others(home.root)
    if home.config_file.exists():
        close_to_others(home.config_file)


def _make_intermediate(home: Home, root: Authority, host: str, passphrase: bytes | None) -> Authority:
    made = root.issue_intermediate(ca_name(ISSUING_NAME, host), utc_now())
    write_secret(home.issuing_key, key_to_pem(made.key, passphrase))
    write_public(home.issuing_certificate, to_pem(made.certificate))
    return Authority(made.certificate, made.key, (made.certificate, root.certificate))


def _make_server_ca(home: Home, host: str, passphrase: bytes | None) -> Authority:
    made = create_root(ca_name(SERVER_CA_NAME, host), utc_now(), path_length=0)
    write_secret(home.server_ca_key, key_to_pem(made.key, passphrase))
    write_public(home.server_ca_certificate, to_pem(made.certificate))
    return made
