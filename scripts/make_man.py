"""The man pages, made from the command line and from the settings: telnetsd(8) and telnetsd.toml(5)."""

import builtins
import inspect
import re
import typing
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

import msgspec
import typer.main

from telnetsd import __version__
from telnetsd.cli import app
from telnetsd.config.settings import Settings

PROGRAM: Final = "telnetsd"
FILES: Final = (
    ("telnetsd.toml", "the configuration; see telnetsd.toml(5)"),
    ("state.db", "users, certificates and pins: who is who"),
    ("certs/ca.pem, certs/ca.key", "the built-in CA; clients need ca.pem"),
    ("certs/server.pem, certs/server.key", "what the server shows to clients"),
    ("certs/users/", "certificates and keys that are to be handed over"),
    ("certs/trust/, certs/crl/", "other trust anchors, and CRLs"),
    ("audit/audit.jsonl", "the audit log; rotated files and recordings are beside it"),
    ("run/control.sock", "what verbs like `session list` ask of the running server"),
)
ENVIRONMENT: Final = (
    ("TELNETSD_HOME", "the home folder, where --home is not given"),
    ("TELNETSD_CA_PASSPHRASE", "the passphrase of the CA's key"),
    ("LISTEN_FDS, NOTIFY_SOCKET, WATCHDOG_USEC", "of systemd: sockets, readiness, a sign of life"),
)
SIGNALS: Final = (
    ("SIGHUP", "reload, and raise new workers"),
    (
        "SIGTERM, SIGINT",
        "take nobody in any more, wait for open sessions up to drain_timeout_s, stop; a second: at once",
    ),
)
STATUS: Final = (("0", "done"), ("1", "refused, or not found"), ("2", "wrong usage"))


def command_page() -> str:
    """Return telnetsd(8)."""
    group: Any = typer.main.get_command(app)
    lines = [
        f'.TH {PROGRAM.upper()} 8 "" "{PROGRAM} {__version__}" "System administration"',
        ".SH NAME",
        f"{PROGRAM} \\- {_escape('a telnet-over-TLS line server that names its users by their certificates')}",
        ".SH SYNOPSIS",
        f".B {PROGRAM}",
        "[\\-\\-home DIR] COMMAND [ARGUMENTS]",
        ".SH DESCRIPTION",
        *_text(
            "Every client is asked for a certificate; a verified one makes it a named user, with roles that say which"
            " commands and lines it may use. Whoever has none may come in as a guest. Each session, command and"
            " refusal is on a chained and signed audit log before it has an effect."
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
            "Every key is optional. A running server takes a change at once, but for [listener], [audit] and"
            " [metrics], which wait for a restart; `telnetsd check` reads the file without starting."
            " Names that end in _s are seconds, in _bytes bytes."
        ),
    ]
    for field in msgspec.structs.fields(Settings):
        lines += _describe_section(field)
    lines += [".SH SEE ALSO", f".BR {PROGRAM} (8)"]
    return "\n".join(lines) + "\n"


def _commands(group: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _commands(command, (*above, name))
        else:
            yield (*above, name), command


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


def _describe_section(field: msgspec.structs.FieldInfo) -> list[str]:
    kind, name = _section_kind(field.type)
    header = name.format(field.encode_name)
    lines = [f".SH {_escape(header)}", *_text(inspect.getdoc(kind) or "")]
    rows = []
    for one in msgspec.structs.fields(kind):
        default = "" if one.required or one.default is msgspec.NODEFAULT else _shown(one.default)
        about = [_type_words(one.type), f"default {default}" if default else "must be given" if one.required else ""]
        rows.append((one.encode_name, "; ".join(word for word in about if word)))
    return lines + _list(rows)


def _section_kind(kind: Any) -> tuple[type, str]:  # noqa: ANN401
    """Return the struct that a key of the file stands for, and how its table is written."""
    arguments = [one for one in typing.get_args(kind) if inspect.isclass(one) and issubclass(one, msgspec.Struct)]
    if not arguments:
        return kind, "[{}]"
    return arguments[0], "[[{}]]" if typing.get_origin(kind) is tuple else "[{}.NAME]"


def _type_words(kind: Any) -> str:  # noqa: ANN401
    """Say what a value may be."""
    arguments = typing.get_args(kind)
    match typing.get_origin(kind):
        case typing.Annotated:
            words = " ".join(filter(None, (_type_words(arguments[0]), _bounds(arguments[1]))))
        case typing.Literal:
            words = " or ".join(f'"{one}"' for one in arguments)
        case builtins.tuple:
            words = f"list of {_type_words(arguments[0])}"
        case builtins.dict:
            words = "table"
        case None:
            words = _plain_type_words(kind)
        case _:
            words = " or ".join(_type_words(one) for one in arguments if one is not msgspec.UnsetType)
    return words


def _plain_type_words(kind: type) -> str:
    if issubclass(kind, StrEnum):
        return " or ".join(f'"{one.value}"' for one in kind)
    if issubclass(kind, msgspec.Struct):
        return "table of: " + ", ".join(one.encode_name for one in msgspec.structs.fields(kind))
    return {str: "text", int: "number", float: "number", bool: "true or false"}[kind]


def _bounds(meta: msgspec.Meta) -> str:
    least = meta.ge if meta.ge is not None else meta.gt
    if least is None and meta.le is None:
        return f"({meta.description})" if meta.description else ""
    return f"from {least:.12g} to {meta.le:.12g}" if meta.gt is None else f"above {least:.12g}, up to {meta.le:.12g}"


def _shown(value: object) -> str:
    if isinstance(value, msgspec.Struct) or value in ((), {}) or value is msgspec.UNSET:
        return ""
    return msgspec.json.encode(value).decode()


def _list(rows: typing.Iterable[tuple[str, str]]) -> list[str]:
    return [line for term, text in rows for line in (".TP", f".B {_escape(term)}", *_text(text))]


def _text(text: str) -> list[str]:
    """Return text as paragraphs, .PP between them."""
    parts = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    return [line for part in parts if part for line in (".PP", _escape(part))][1:]


def _escape(text: str) -> str:
    """Return text that roff shows as it is."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("\N{HORIZONTAL ELLIPSIS}", "...")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain
