"""The settings as documents: the file that `telnetsd init` writes, README's table, the page docs/configuration.md."""

import builtins
import re
import textwrap
import typing
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

import msgspec

from telnetsd.config.key import KeyMeaning, keys_of, section_of
from telnetsd.config.settings import Settings

WIDTH: Final = 100
_LISTEN_LINE: Final = re.compile("^# listen = .*$", re.MULTILINE)
_TEMPLATE_HEAD: Final = """\
# telnetsd.toml: every key is optional; these are the defaults. docs/configuration.md has all of them.
# `telnetsd check` reads this file without starting. A running server applies a change at once, and `telnetsd
# reload` reports the result; a change of a key marked (restart) takes effect at the next restart.
"""
_EXAMPLES: Final = """\
# A role is a named set of commands. guest, user, auditor and operator are built in.
# [roles.reader]
# includes = ["user"]
# commands = ["audit"]
# min_class = 2

# An assurance class says how a person's identity was checked. Use OIDs from your own OID arc.
# [classes.2]
# oid = "1.3.6.1.4.1.99999.1.2"
# name = "in person"
# checked = "a photo ID was shown to the operator"

# Another address to listen on, HOST:PORT or unix:PATH, with its own requirements.
# [[listener.also]]
# listen = "127.0.0.1:9994"
# require_certificate = true
# roles = ["operator"]

# A line: a named connection to equipment or a program, over telnet, TCP, TLS, serial or a pty.
# [[line]]
# name = "switch-1"
# target = "telnet://192.0.2.10:23"

# A command that runs a program.
# [[command]]
# name = "ping"
# exec = "ping -c 3"
# summary = "whether a host answers"
# arguments_max = 1

# A collector that gets every event: syslog+udp://, syslog+tcp://, syslog+tls://HOST:PORT, journald,
# stdout.
# [[audit.shipping]]
# name = "collector"
# to = "syslog+tls://collector.example:6514"
# ca = "certs/collector-ca.pem"

# A program (program = "/usr/local/bin/tell") or a webhook that gets events at once.
# [[notify]]
# name = "ops"
# actions = ["enrolment-requested", "audit-damaged", "certificate-expiring", "line-alert", "guests-refused",
#            "connection-refused"]
# url = "https://chat.example/hook"
# secret_file = "certs/ops.secret"

# Another CA: `telnetsd trust add FILE` prints example entries.
"""
_PAGE_HEAD: Final = """\
# Configuration

<!-- Made by scripts/make-docs from server/telnetsd/config/settings.py: change that. -->

The configuration is `telnetsd.toml` in the home folder; `telnetsd init` writes it. Every key is
optional, unless its default says *required*. An unknown key is refused: the message has its line
number and a suggestion. `telnetsd check` reads the file without starting a server. A running server
applies a change at once; if the last column says *restart*, the change takes effect at the next
restart. Keys that end in `_s` are in seconds, and keys that end in `_bytes` are in bytes.
"""


def template(listen: str = "") -> str:
    """Return the file that `telnetsd init` writes; `listen` is the address that it sets, if there is one."""
    parts = [_TEMPLATE_HEAD]
    for name, section in _plain_sections():
        rows = [(field, key) for field, key in keys_of(section) if key.is_common]
        if rows:
            parts.append("\n".join([f"[{name}]", *(_template_line(field, key) for field, key in rows)]) + "\n")
    text = "\n".join([*parts, _EXAMPLES])
    if not listen:
        return text
    assignment = f"listen = {msgspec.json.encode(listen).decode()}"
    return _LISTEN_LINE.sub(lambda _: assignment, text, count=1)


def readme_table() -> str:
    """Return README's table: one row per section, with a link to all of its keys."""
    rows = ["| section | what it sets |", "| --- | --- |"]
    for header, _, key in sections():
        anchor = "".join(one for one in header.lower() if one.isalnum() or one in "-_")
        rows.append(f"| [`{header}`](docs/configuration.md#{anchor}) | {key.meaning} |")
    return "\n".join(rows) + "\n"


def page() -> str:
    """Return docs/configuration.md."""
    return "\n".join([_PAGE_HEAD, *_page_sections()])


def sections() -> Iterator[tuple[str, type[msgspec.Struct], KeyMeaning]]:
    """Yield every section: its header as it is written in the file, the struct, and the declaration."""
    for field, key in keys_of(Settings):
        section, form = section_of(field.type)
        if section is not None:
            yield form.format(field.encode_name), section, key
            for inner, inner_key in keys_of(section):
                found, inner_form = section_of(inner.type)
                if found is not None:
                    yield inner_form.format(f"{field.encode_name}.{inner.encode_name}"), found, inner_key


def values_of(kind: Any) -> str:  # noqa: ANN401 -- a type annotation
    """Describe the values that a key may have."""
    arguments = typing.get_args(kind)
    match typing.get_origin(kind):
        case typing.Annotated:
            metas = [one for one in arguments[1:] if isinstance(one, msgspec.Meta)]
            return " ".join(filter(None, (values_of(arguments[0]), *map(_bounds, metas))))
        case typing.Literal:
            return " or ".join(f'"{one}"' for one in arguments)
        case builtins.tuple:
            return f"list of {values_of(arguments[0])}"
        case builtins.dict:
            return "table"
        case None:
            return _plain_values(kind)
        case _:
            return " or ".join(values_of(one) for one in arguments if one is not msgspec.UnsetType)


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """Return a key's default as it is written in the file; empty if there is none to write."""
    if field.required or field.default is msgspec.NODEFAULT:
        return ""
    return _written(field.default)


def _page_sections() -> Iterator[str]:
    for header, section, key in sections():
        yield f"## {header}\n"
        yield f"{key.meaning[:1].upper()}{key.meaning[1:]}.\n"
        yield "| key | values | default | meaning | |"
        yield "| --- | --- | --- | --- | --- |"
        for field, one in keys_of(section):
            default = "required" if field.required else _code(_default(field))
            waits = "restart" if one.waits else ""
            yield f"| `{field.encode_name}` | {values_of(field.type)} | {default} | {one.meaning} | {waits} |"
        yield ""


def _plain_sections() -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """Yield the sections that occur only once."""
    for field, _ in keys_of(Settings):
        section, form = section_of(field.type)
        if section is not None and form == "[{}]":
            yield field.encode_name, section


def _template_line(field: msgspec.structs.FieldInfo, key: KeyMeaning) -> str:
    assignment = f"# {field.encode_name} = {_default(field)}"
    meaning = key.meaning.replace("`", "") + (" (restart)" if key.waits else "")
    beside = f"{assignment:<32} # {meaning}"
    if len(beside) <= WIDTH:
        return beside
    above = textwrap.wrap(meaning, WIDTH - 4, initial_indent="#   ", subsequent_indent="#   ")
    return "\n".join([*above, assignment])


def _default(field: msgspec.structs.FieldInfo) -> str:
    written = default_of(field)
    return written or ("[]" if field.default == () else "")


def _written(value: object) -> str:
    if isinstance(value, msgspec.Struct) or value in ((), {}) or value is msgspec.UNSET:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return msgspec.json.encode(value).decode().replace('","', '", "')


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _plain_values(kind: type) -> str:
    if issubclass(kind, StrEnum):
        return " or ".join(f'"{one.value}"' for one in kind)
    if issubclass(kind, msgspec.Struct):
        return "tables"
    return {str: "text", int: "number", float: "number", bool: "true or false"}[kind]


def _bounds(meta: msgspec.Meta) -> str:
    least = meta.ge if meta.ge is not None else meta.gt
    if least is None and meta.le is None:
        return f"({meta.description})" if meta.description else ""
    return f"from {least:.16g} to {meta.le:.16g}" if meta.gt is None else f"above {least:.16g}, up to {meta.le:.16g}"
