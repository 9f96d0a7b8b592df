"""Making a home folder: CA, server certificate, audit key, a configuration to edit, an empty state."""

from dataclasses import dataclass
from typing import Final

from cryptography import x509

from telnetsd.administration.authority.authorities import encode_chain, rewrite_crls
from telnetsd.administration.authority.rotation import CA_NAME, ISSUING_NAME, SERVER_CA_NAME, require_host_name
from telnetsd.audit.key import make_audit_key
from telnetsd.errors import OperatorError
from telnetsd.events.part import Fields
from telnetsd.files.atomic import make_secret_folder, write_public, write_secret
from telnetsd.files.home import Home, close_to_others
from telnetsd.pki.authority import Authority, create_root, to_pem, utc_now
from telnetsd.pki.keys import KeyType, MlDsaPrivateKey, key_to_pem
from telnetsd.state.store import open_store

BY_INIT: Final[Fields] = {"telnetsd": {"operator": {"name": "init"}}}
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")
CONFIGURATION: Final = """\
# telnetsd.toml: every key is optional; these are the defaults. `telnetsd check` reads this file without starting, and
# a running server takes a change at once (`telnetsd reload` says how it went), but for [listener], [metrics], [audit]
# and the addresses of lines: these wait for a restart.

[listener]
# listen = "127.0.0.1:9992"      # HOST:PORT; the IANA port of telnets is 992, or unix:PATH
# proxies = []                   # networks of proxies whose PROXY header is believed, and demanded
# max_connections = 4000         # this one does not
# workers = 1                    # "auto": one for each core
# keepalive_s = 60               # after so long a silence a peer is asked whether it is there; 0: never
# drain_timeout_s = 10           # how long open sessions have to end when the server is stopped
# user = ""                      # whom root becomes when it has the sockets

[limits]
# docs/service.md says what becomes of what is over them.
# exempt = ["127.0.0.0/8", "::1/128"]
# per_source = 128               # connections from one IPv4 address or IPv6 /64
# per_network = 1024             # connections from one IPv4 /24 or IPv6 /48
# sessions_per_user = 128
# lines_per_s = 1000

[metrics]
# listen = ""                    # 127.0.0.1:PORT for /metrics, /healthz, /readyz

[tls]
# handshake_timeout_s = 10
# handshake_max_bytes = 65536    # what a client may send for it: its chain of certificates, above all

[identity]
# require_certificate = false    # true: nobody comes in as a guest
# crl_policy = "require"         # of other CAs; "prefer": without a current CRL a certificate counts as good

[issuing]
# days = 365                     # how long a user's certificate is valid
# crl_url = ""                   # where others find our CRL; goes into each certificate
# crl_days = 7                   # how long our CRL is good; it is signed anew before

[renewal]
# policy = "approval"            # what becomes of a user's `renew`: "auto", "approval", "off"
# window_days = 30               # from when on users are warned and may renew

[enrolment]
# is_open = true                 # whether `enroll` takes requests
# per_source = 3                 # open requests from one address
# total = 100
# expiry_days = 7

[session]
# idle_timeout_s = 1800
# idle_warning_s = 60            # how long before the end a warning is shown
# max_time_s = 604800
# line_max_bytes = 4096
# pending_max_bytes = 65536      # who has so much unread is shown no more notices
# motd = "no message today"

[audit]
# durability = "commit"          # an event counts when it is on the disk; "interval": it is synced later
# sync_interval_s = 1.0          # with "interval": how much a power cut may cost
# on_audit_failure = "refuse"    # "continue": sessions go on while the log cannot be written; what they do is kept
# checkpoint_interval_s = 300    # how often the log is signed, at least
# checkpoint_events = 1000
# rotate_bytes = 67108864        # when another file is begun; 0: never
# rotate_age_s = 604800
# compress = true                # rotated files, with zstd
# retention_days = 400           # when rotated files are removed; 0: never
# retention_bytes = 10737418240

# A role is a named set of commands. guest, user and operator are built in; each has what the one before has.
# [roles.auditor]
# includes = ["user"]
# commands = ["audit"]
# min_class = 2                  # who is of a lower assurance class does not have it

# An assurance class says what was checked of who somebody is. Take OIDs of your own arc.
# [classes.2]
# oid = "1.3.6.1.4.1.99999.1.2"
# name = "in person"
# checked = "a photo ID was shown to the operator"

# Another address to come in by, HOST:PORT or unix:PATH, with demands of its own.
# [[listener.also]]
# listen = "127.0.0.1:9994"
# require_certificate = true
# roles = ["operator"]

# A line: a named way to something that speaks only telnet, TCP, TLS, serial or a terminal; docs/lines.md.
# [[line]]
# name = "switch-1"
# target = "telnet://192.0.2.10:23"

# A command that runs a program.
# [[command]]
# name = "ping"
# exec = "ping -c 3"
# summary = "whether a host answers"
# arguments_max = 1

# A collector that gets every event: syslog+udp://, syslog+tcp://, syslog+tls://HOST:PORT, journald, stdout.
# [[audit.shipping]]
# name = "collector"
# to = "syslog+tls://collector.example:6514"
# ca = "certs/collector-ca.pem"

# Another CA: `telnetsd trust add FILE` prints entries to begin with.
"""


@dataclass(frozen=True, slots=True)
class Initialised:
    """What was made; `issuing` is the intermediate, where there is one."""

    ca: x509.Certificate
    issuing: x509.Certificate | None
    server: x509.Certificate
    names: tuple[str, ...]


def initialise(
    home: Home,
    names: tuple[str, ...],
    *,
    has_intermediate: bool = False,
    passphrase: bytes | None = None,
    key_type: KeyType = KeyType.EC,
) -> Initialised:
    """Make a home folder.

    Args:
        home: Where.
        names: Host names and addresses that clients will use, beside those of this machine alone.
        has_intermediate: Whether an intermediate issues, so that the root's key can be kept elsewhere.
        passphrase: Encrypts the CA's keys.
        key_type: Of the CA's keys. With ML-DSA, the server's own certificate has a P-256 CA beside it: OpenSSL before
            3.5, which most clients have, verifies no other.
    Raises:
        OperatorError: There is a CA already, or a name is none.
    """
    if home.ca_certificate.exists():
        raise OperatorError(f"there is a CA already: {home.ca_certificate}; choose another home folder with --home")
    for name in names:
        require_host_name(name)
    all_names = tuple(dict.fromkeys((*names, *LOCAL_NAMES)))
    _make_folders(home)
    # Of an `init` that was cut off: nothing that it made was ever used.
    left_over = home.issuing_certificate, home.issuing_key, home.server_ca_certificate, home.audit_public_keys
    for path in left_over:
        path.unlink(missing_ok=True)
    if not home.config_file.exists():
        write_public(home.config_file, CONFIGURATION.encode())
    open_store(home, create=True).close()
    now = utc_now()
    root = create_root(CA_NAME, now, int(has_intermediate), key_type)
    issuer = _make_intermediate(home, root, passphrase) if has_intermediate else root
    has_server_ca = isinstance(root.key, MlDsaPrivateKey)
    server_issuer = _make_server_ca(home, passphrase) if has_server_ca else issuer
    server = server_issuer.issue_server(all_names, now)
    write_secret(home.server_key, key_to_pem(server.key))
    write_public(home.server_certificate, encode_chain(server.certificate, server_issuer))
    write_secret(home.ca_key, key_to_pem(root.key, passphrase))
    make_audit_key(home)
    # The CA's certificate is last: a home folder that has it is complete.
    write_public(home.ca_certificate, to_pem(root.certificate, *server_issuer.chain if has_server_ca else ()))
    rewrite_crls(home, BY_INIT, lambda: passphrase or b"")
    return Initialised(
        root.certificate, issuer.certificate if has_intermediate else None, server.certificate, all_names
    )


def _make_folders(home: Home) -> None:
    for folder in (home.certs_folder, home.users_folder, home.audit_file.parent, home.control_socket.parent):
        make_secret_folder(folder)
    for folder in (home.trust_folder, home.intermediates_folder, home.crl_folder):
        folder.mkdir(exist_ok=True)
        close_to_others(folder)
    # A folder that somebody has made, and a configuration that is kept, may be open to a group.
    close_to_others(home.root)
    if home.config_file.exists():
        close_to_others(home.config_file)


def _make_intermediate(home: Home, root: Authority, passphrase: bytes | None) -> Authority:
    made = root.issue_intermediate(ISSUING_NAME, utc_now())
    write_secret(home.issuing_key, key_to_pem(made.key, passphrase))
    write_public(home.issuing_certificate, to_pem(made.certificate))
    return Authority(made.certificate, made.key, (made.certificate, root.certificate))


def _make_server_ca(home: Home, passphrase: bytes | None) -> Authority:
    made = create_root(SERVER_CA_NAME, utc_now(), path_length=0)
    write_secret(home.server_ca_key, key_to_pem(made.key, passphrase))
    write_public(home.server_ca_certificate, to_pem(made.certificate))
    return made
