"""The man pages telnetsd(8) and telnetsd.toml(5), generated from the command line and from the settings."""

import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from telnetsd import __version__
from telnetsd.cli import make_app
from telnetsd.cli.lazy_verb import LazyVerb
from telnetsd.config.documents import default_of, sections, values_of
from telnetsd.config.key import KeyMeaning, keys_of

PROGRAM: Final = "telnetsd"
FILES: Final = (
    ("telnetsd.toml", "the configuration; see telnetsd.toml(5)"),
    ("state.db", "users, certificates, pins and enrolment requests"),
    ("certs/ca.pem, certs/ca.key", "the built-in CA; clients need ca.pem"),
    ("certs/server.pem, certs/server.key", "what the server shows to clients"),
    ("certs/users/", "certificates and keys to hand to users"),
    ("certs/trust/, certs/crl/", "other trust anchors, and CRLs"),
    ("audit/audit.jsonl", "the audit log; rotated files and recordings are beside it"),
    ("/usr/sbin/telnetsd-admin", "on Debian: this command line, as the user of the service and for its home folder"),
    ("run/control.sock", "where verbs like `session list` ask the running server"),
)
ENVIRONMENT: Final = (
    ("TELNETSD_HOME", "the home folder, where --home is not given"),
    ("TELNETSD_CA_PASSPHRASE", "the passphrase of the CA's key"),
    ("LISTEN_FDS, NOTIFY_SOCKET, WATCHDOG_USEC", "of systemd: sockets, readiness, a sign of life"),
)
SIGNALS: Final = (
    ("SIGHUP", "reload, and start new workers"),
    (
        "SIGTERM, SIGINT",
        "accept no more connections, wait for open sessions up to drain_timeout_s, stop; a second: at once",
    ),
)
STATUS: Final = (("0", "done"), ("1", "refused, or not found"), ("2", "wrong usage"))


def command_page() -> str:
    """Return telnetsd(8)."""
    group: Any = make_app()
    lines = [
        f'.TH {PROGRAM.upper()} 8 "" "{PROGRAM} {__version__}" "System administration"',
        ".SH NAME",
        f"{PROGRAM} \\- {_escape('a telnet-over-TLS line server that identifies users by their certificates')}",
        ".SH SYNOPSIS",
        f".B {PROGRAM}",
        "[\\-\\-home DIR] COMMAND [ARGUMENTS]",
        ".SH DESCRIPTION",
        *_text(
            "Every client is asked for a certificate; a verified one makes it a named user, with roles that say which"
            " commands and lines it may use. A client without one may connect as a guest. Each session, command"
            " and refusal is in a chained and signed audit log before it has an effect."
        ),
        ".SH COMMANDS",
    ]
    for words, command in _commands(group, ()):
        lines += _describe_command(words, command)
    for title, rows in (
        ("FILES", FILES),
        ("ENVIRONMENT", ENVIRONMENT),
        ("SIGNALS", SIGNALS),
        ("EXIT STATUS", STATUS),
    ):
        lines += [f".SH {title}", *_list(rows)]
    lines += [".SH SEE ALSO", ".BR telnetsd.toml (5),", ".BR openssl (1),", ".BR systemd.service (5)"]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """Return telnetsd.toml(5)."""
    lines = [
        f'.TH {PROGRAM.upper()}.TOML 5 "" "{PROGRAM} {__version__}" "File formats"',
        ".SH NAME",
        f"{PROGRAM}.toml \\- the configuration of {PROGRAM}(8)",
        ".SH DESCRIPTION",
        *_text(
            "Every key is optional, unless it says that it is required. A running server applies a change at once,"
            " unless the key says that it waits for a restart. `telnetsd check` reads the file without starting."
            " Keys that end in _s are in seconds, and keys that end in _bytes are in bytes."
        ),
    ]
    for header, section, about in sections():
        lines += _describe_section(header, section, about)
    lines += [".SH SEE ALSO", f".BR {PROGRAM} (8)"]
    return "\n".join(lines) + "\n"


def _commands(group: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401
    for name, command in group.commands.items():
        if not isinstance(command, LazyVerb):
            yield from _commands(command, (*above, name))
        elif not command.hidden:
            yield (*above, name), command.loaded()


def _describe_command(words: tuple[str, ...], command: Any) -> list[str]:  # noqa: ANN401
    arguments = [_metavar(one) for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and "--help" not in one.opts]
    signature = " ".join((*words, *arguments, *(["[OPTIONS]"] if options else [])))
    lines = [f".SS {_escape(signature)}", *_text(inspect.cleandoc(command.help or ""))]
    context = command.context_class(command)
    rows = [record for one in options if (record := one.get_help_record(context))]
    rows += [(_metavar(one), one.help) for one in command.params if one.param_type_name == "argument" and one.help]
    return lines + _list(rows)


def _metavar(parameter: Any) -> str:  # noqa: ANN401
    name: str = parameter.metavar or parameter.name.upper()
    return name if parameter.required else f"[{name}]"


def _describe_section(header: str, section: type[msgspec.Struct], about: KeyMeaning) -> list[str]:
    lines = [f".SH {_escape(header)}", *_text(f"{about.meaning[:1].upper()}{about.meaning[1:]}.")]
    rows = []
    for field, key in keys_of(section):
        default = default_of(field)
        said = [
            key.meaning.replace("`", ""),
            values_of(field.type),
            f"default {default}" if default else "required" if field.required else "",
            "a change waits for a restart" if key.waits else "",
        ]
        rows.append((field.encode_name, "; ".join(word for word in said if word)))
    return lines + _list(rows)


def _list(rows: typing.Iterable[tuple[str, str]]) -> list[str]:
    return [line for term, text in rows for line in (".TP", f".B {_escape(term)}", *_text(text))]


def _text(text: str) -> list[str]:
    """Return text as paragraphs, .PP between them."""
    parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    return [line for part in parts if part for line in (".PP", _escape(part))][1:]


def _escape(text: str) -> str:
    """Return text that roff shows unchanged."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("\N{HORIZONTAL ELLIPSIS}", "...")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain
