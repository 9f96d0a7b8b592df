"""The values that a configuration key may have."""

from enum import StrEnum
from typing import Annotated, Final

import msgspec

Seconds = Annotated[float, msgspec.Meta(gt=0, le=10 * 365 * 86400)]


Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


BUILT_IN_CLASS: Final = 1
"""The class of users to whom the operator issued a certificate without specifying more."""
WORKERS_MAX: Final = 64


AUTO: Final = "auto"
"""As many workers as there are cores."""


Workers = Annotated[int, msgspec.Meta(ge=1, le=WORKERS_MAX)]


ARGUMENT_CHARACTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/@-"


Name = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z][a-z0-9_-]{0,31}$",
        description="a name of up to 32 lower-case letters, digits, - and _, starting with a letter",
    ),
]


RoleName = Name


NODE_NAME_PATTERN: Final = r"^[a-z][a-z0-9-]{0,31}$"


OptionalNodeName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([a-z][a-z0-9-]{0,31})?$",
        description="a name of up to 32 lower-case letters, digits and -, starting with a letter, or empty",
    ),
]


_HOST_PORT: Final = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]{1,253}):[0-9]{1,5}"
"""A host name or an address (IPv6 in brackets), and a port."""


EngineUrl = Annotated[
    str,
    msgspec.Meta(
        pattern=f"^tls://{_HOST_PORT}$",
        description="tls://HOST:PORT",
    ),
]


RouteUrl = Annotated[
    str,
    msgspec.Meta(pattern=f"^{_HOST_PORT}$", description="HOST:PORT"),
]


AssuranceClass = Annotated[int, msgspec.Meta(ge=0, le=9)]


Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]


PenaltySeconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]


NetworkText = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-9a-fA-F:.]+(/[0-9]{1,3})?$",
        description="an address or a network, as in 192.0.2.0/24, not a name",
    ),
]


Fingerprint = Annotated[
    str,
    msgspec.Meta(pattern=r"^SHA256:[0-9A-Fa-f]{64}$", description="a fingerprint: SHA256: and 64 hexadecimal digits"),
]


Oid = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-2](\.(0|[1-9][0-9]*)){1,30}$",
        description="an object identifier, as in 1.3.6.1.4.1.99999.1",
        max_length=128,
    ),
]


EntryId = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$",
        description="a name of up to 64 lower-case letters, digits, ., _ and -",
    ),
]


OptionalUser = Annotated[
    str,
    msgspec.Meta(pattern=r"^([a-z_][a-z0-9_-]{0,31})?$", description="the name of a user of this machine, or empty"),
]


OptionalUrl = Annotated[
    str, msgspec.Meta(pattern=r"^(https?://[!-~]{1,250})?$", description="an http or https URL, or empty")
]


OptionalHostName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([a-z0-9-]+(\.[a-z0-9-]+)*)?$",
        description="a host name in lower case, or empty",
        max_length=253,
    ),
]


Pattern = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=1000, description="a regular expression of up to 1000 characters (RE2)"),
]


Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


FINGERPRINT_PREFIX: Final = "SHA256:"


CollectorAddress = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(stdout|journald|syslog\+(udp|tcp|tls)://([a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5})$",
        description="stdout, journald, or syslog+udp://HOST:PORT, syslog+tcp:// or syslog+tls://",
    ),
]


def fingerprint_hex(text: str) -> str:
    """Return a fingerprint, or its start, for comparison: lower-case hexadecimal, without prefix and colons."""
    return text.removeprefix(FINGERPRINT_PREFIX).replace(":", "").lower()


class CrlPolicy(StrEnum):
    """What happens to a certificate of another CA that has no current CRL."""

    REQUIRE = "require"
    PREFER = "prefer"


class RenewalPolicy(StrEnum):
    """What happens when a user runs `renew`."""

    AUTO = "auto"
    APPROVAL = "approval"
    OFF = "off"


class MapType(StrEnum):
    """Where in a verified certificate the name is found (RFC 7407 section 4, and three kinds of name beyond it)."""

    SPECIFIED = "specified"
    SAN_RFC822_NAME = "san-rfc822-name"
    SAN_DNS_NAME = "san-dns-name"
    SAN_IP_ADDRESS = "san-ip-address"
    SAN_ANY = "san-any"
    COMMON_NAME = "common-name"
    SUBJECT = "subject"
    SAN_URI = "san-uri"
    SAN_UPN = "san-upn"


class Durability(StrEnum):
    """When an event counts as written."""

    COMMIT = "commit"
    INTERVAL = "interval"


class FailurePolicy(StrEnum):
    """What happens to sessions and commands while the audit log cannot be written."""

    REFUSE = "refuse"
    CONTINUE = "continue"


class StalePolicy(StrEnum):
    """Who may log in to a node of a fleet that was cut off for too long."""

    CONTINUE = "continue"
    OPERATORS = "operators"
    REFUSE = "refuse"


OptionalHostPort = Annotated[
    str,
    msgspec.Meta(pattern=f"^({_HOST_PORT})?$", description="HOST:PORT, or empty"),
]
