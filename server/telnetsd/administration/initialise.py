"""Making a home folder: the built-in CA, the server's certificate, a configuration to edit, an empty state."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from telnetsd.errors import OperatorError
from telnetsd.home import Home, make_secret_folder, write_public, write_secret
from telnetsd.pki.authority import create_authority, utc_now
from telnetsd.state import State

_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
CA_NAME: Final = "telnetsd CA"
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")
CONFIGURATION: Final = """\
# telnetsd.toml: every key is optional; these are the defaults. `telnetsd check` reads this file without starting.

[listener]
# listen = "127.0.0.1:9992"      # HOST:PORT; the IANA port of telnets is 992
# max_connections = 4000

[tls]
# handshake_timeout_s = 10

[identity]
# require_certificate = false    # true: nobody comes in as a guest

[session]
# idle_timeout_s = 1800
# idle_warning_s = 60            # how long before the end a warning is shown
# max_time_s = 604800
# line_max_bytes = 4096
# motd = "no message today"

# A role is a named set of commands. guest, user and operator are built in; each has what the one before has.
# [roles.auditor]
# includes = ["user"]
# commands = ["audit"]
"""


@dataclass(frozen=True, slots=True)
class Initialised:
    """What was made."""

    ca: x509.Certificate
    server: x509.Certificate
    names: tuple[str, ...]


def initialise(home: Home, names: tuple[str, ...]) -> Initialised:
    """Make a home folder.

    Args:
        home: Where.
        names: Host names and addresses that clients will use, beside those of this machine alone.
    Raises:
        OperatorError: There is a CA already, or a name is none.
    """
    if home.ca_key.exists():
        raise OperatorError(f"there is a CA already: {home.ca_certificate}; choose another home folder with --home")
    for name in names:
        _require_host_name(name)
    all_names = tuple(dict.fromkeys((*names, *LOCAL_NAMES)))
    now = utc_now()
    authority = create_authority(CA_NAME, now)
    server = authority.issue_server(all_names, now)
    for folder in (home.ca_key.parent, home.users_folder, home.audit_file.parent, home.control_socket.parent):
        make_secret_folder(folder)
    home.trust_folder.mkdir(exist_ok=True)
    write_secret(home.server_key, server.key_pem)
    write_public(home.server_certificate, server.certificate_pem)
    if not home.config_file.exists():
        write_public(home.config_file, CONFIGURATION.encode())
    State(home.state_file).close()
    write_public(home.ca_certificate, authority.issued.certificate_pem)
    # The CA's key is last: a home folder that has it is complete.
    write_secret(home.ca_key, authority.issued.key_pem)
    return Initialised(authority.certificate, server.certificate, all_names)


def _require_host_name(name: str) -> None:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if _HOST_NAME.fullmatch(name) is None:
            raise OperatorError(
                f"not a host name: {name!r}; take letters, digits, dots and dashes, as in IDNA"
            ) from None
