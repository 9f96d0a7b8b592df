"""conserver.cf as lines: what carries over, and what does not (conserver.cf(5))."""

import re
import shlex
import socket
from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

from telnetsd.administration.migration.conserver_syntax import Block, Include, parse
from telnetsd.administration.migration.imported import OPERATORS, Imported, ImportedLine, host_port, line_name
from telnetsd.errors import OperatorError

EVERY_DEFAULT: Final = "*"
EVERY_USER: Final = "*"
NO_FILE: Final = frozenset({"", "/dev/null"})
_ROLE: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_SIZES: Final = {"": 1, "k": 1024, "m": 2**20}
_RECORDING_MIN_BYTES: Final = 4096
_LISTS: Final = frozenset({"rw", "ro", "options"})
"""Keywords whose values add to each other; an empty value removes what was there."""
_CARRIED_OVER: Final = frozenset(
    {
        *("type", "host", "port", "portbase", "portinc", "protocol", "device", "devicesubst", "baud", "parity"),
        *("exec", "uds", "logfile", "logfilemax", "motd", "rw", "ro", "options", "master", "replstring"),
    }
)
_MEANINGLESS: Final = frozenset({"timestamp"})
"""Keywords of which nothing is lost: a recording has all times."""
_SERIAL_OPTIONS: Final = frozenset(
    {"ixon", "!ixon", "crtscts", "!crtscts", "cstopb", "!cstopb", "ondemand", "!ondemand"}
)
_SUBSTITUTION: Final = re.compile(
    r"(?P<character>.)=(?:(?P<text>[chr])(?P<width>[0-9]{0,2})s|(?P<number>[bpP])(?P<format>0?[0-9]{0,2}[dxX]))"
)
_NUMBER: Final = re.compile(r"-?[0-9]{1,9}")

Settings = dict[str, list[str]]
"""The values of a console's keywords."""


def read_conserver(text: str) -> Imported:
    """Return what a conserver.cf says.

    Raises:
        OperatorError: It is not valid.
    """
    imported = Imported()
    defaults: dict[str, Settings] = {}
    groups: dict[str, list[str]] = {}
    for block in parse(text):
        if isinstance(block, Include):
            imported.notes.append(f"#include {block.file}: import that file as well")
        elif block.kind == "default":
            defaults[block.name] = _settings_of(block, defaults, {})
        elif block.kind == "group":
            users = (user for item in block.items if item.keyword == "users" for user in _split(item.value))
            groups.setdefault(block.name, []).extend(users)
        elif block.kind == "console":
            settings = _settings_of(block, defaults, defaults.get(EVERY_DEFAULT, {}))
            _add_line(imported, block.name, settings, groups)
        else:
            imported.notes += [
                f"{block.kind} {block.name}: {one.keyword} {one.value}: does not carry over" for one in block.items
            ]
    return imported


def _settings_of(block: Block, defaults: dict[str, Settings], begin: Settings) -> Settings:
    settings = {keyword: list(values) for keyword, values in begin.items()}
    for item in block.items:
        if item.keyword != "include":
            _set(settings, item.keyword, [item.value])
        elif item.value in defaults:
            for keyword, values in defaults[item.value].items():
                _set(settings, keyword, values)
        else:
            raise OperatorError(f"row {item.row} of conserver.cf: no default {item.value!r} before this")
    return settings


def _set(settings: Settings, keyword: str, values: list[str]) -> None:
    if keyword not in _LISTS:
        settings[keyword] = list(values)
        return
    for value in values:
        settings[keyword] = [*settings.get(keyword, []), value] if value else []


def _split(value: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", value) if word]


def _one(settings: Settings, keyword: str, otherwise: str = "") -> str:
    return settings.get(keyword, [otherwise])[-1]


def _all(settings: Settings, keyword: str) -> list[str]:
    return [word for value in settings.get(keyword, []) for word in _split(value)]


def _add_line(imported: Imported, name: str, settings: Settings, groups: dict[str, list[str]]) -> None:
    kind = _one(settings, "type")
    make = _TARGETS.get(kind)
    if make is None:
        imported.notes.append(f"console {name}: type {kind or '(none)'} is not supported")
        return
    line = ImportedLine(line_name(name, {one.name for one in imported.lines}), "", is_program=kind == "exec")
    if line.name != name:
        line.notes.append(f"console {name} is renamed")
    line.target = make(name, settings, line.notes)
    if motd := _one(settings, "motd"):
        line.settings["description"] = " ".join(motd.split())[:256]
    line.settings["shared"] = True
    _set_recording(line, settings)
    _set_roles(line, settings, groups, imported)
    line.notes += [
        f"{keyword} {', '.join(values)}: does not carry over"
        for keyword, values in settings.items()
        if keyword not in _CARRIED_OVER | _MEANINGLESS and any(values)
    ]
    line.notes += [
        f"options {option}: does not carry over"
        for option in _all(settings, "options")
        if option not in _SERIAL_OPTIONS
    ]
    imported.lines.append(line)


def _set_recording(line: ImportedLine, settings: Settings) -> None:
    line.settings["keep_open"] = "ondemand" not in _all(settings, "options")
    if _one(settings, "logfile") in NO_FILE:
        return
    line.settings["record"] = True
    found = re.fullmatch(r"([0-9]+)([km]?)", _one(settings, "logfilemax").lower())
    if found is not None:
        line.settings["recording_max_bytes"] = max(_RECORDING_MIN_BYTES, int(found[1]) * _SIZES[found[2]])


def _set_roles(line: ImportedLine, settings: Settings, groups: dict[str, list[str]], imported: Imported) -> None:
    """Give the line the roles that correspond to its access list: every user, or groups; otherwise operators."""
    allowed, watching = _all(settings, "rw"), _all(settings, "ro")
    if watching:
        line.notes.append(f"ro {', '.join(watching)}: every user of the line may also write to it")
    if allowed == [EVERY_USER]:
        return
    roles = [(one.lower(), one) for one in dict.fromkeys(allowed)]
    if roles and all(group in groups and _ROLE.fullmatch(role) for role, group in roles):
        line.settings["roles"] = tuple(role for role, _ in roles)
        imported.roles.update({role: list(dict.fromkeys(groups[group])) for role, group in roles})
        return
    line.settings["roles"] = OPERATORS
    line.notes.append(f"rw {', '.join(allowed) or '(no user)'}: give these users a role, and name it in roles")


def _to_host(name: str, settings: Settings, notes: list[str]) -> str:
    scheme = "tcp" if _one(settings, "protocol") == "raw" else "telnet"
    port = _port(settings)
    if port is None:
        notes.append(f"console {name}: the port {_one(settings, 'port')!r} is not a number; 23 is written instead")
    return f"{scheme}://{host_port(_one(settings, 'host') or 'localhost', 23 if port is None else port)}"


def _port(settings: Settings) -> int | None:
    """Return the port as conserver calculates it: portbase + portinc * port."""
    text = _one(settings, "port", "0")
    try:
        number = _number(text) if text.isdecimal() else socket.getservbyname(text, "tcp")
    except OSError:
        return None
    port = _number(_one(settings, "portbase", "0")) + _number(_one(settings, "portinc", "1")) * number
    return port if 0 < port < 2**16 else None


def _number(text: str) -> int:
    """Return a whole number; 0 for anything else."""
    return int(text) if _NUMBER.fullmatch(text) else 0


def _to_device(name: str, settings: Settings, notes: list[str]) -> str:
    options = _all(settings, "options")
    flow = "rtscts" if "crtscts" in options else "none" if "!ixon" in options else "xonxoff"
    query = {"baud": _one(settings, "baud", "9600")}
    if parity := _one(settings, "parity", "none")[:1].upper().replace("N", ""):
        query["parity"] = parity
    if "cstopb" in options:
        query["stop"] = "2"
    if flow != "none":
        query["flow"] = flow
    device = _substituted(_one(settings, "device"), name, settings, notes)
    return f"serial://{device}?{urlencode(query)}"


def _substituted(text: str, name: str, settings: Settings, notes: list[str]) -> str:
    """Return a text with the replacements of devicesubst."""
    number = _number(_one(settings, "port", "0"))
    calculated = _number(_one(settings, "portbase", "0")) + _number(_one(settings, "portinc", "1")) * number
    texts = {"c": name, "h": _one(settings, "host"), "r": _one(settings, "replstring")}
    numbers = {"b": _number(_one(settings, "baud", "0")), "p": number, "P": calculated}
    replaced = {}
    for rule in _split(_one(settings, "devicesubst")):
        found = _SUBSTITUTION.fullmatch(rule)
        if found is not None and found["text"] is not None:
            replaced[found["character"]] = texts[found["text"]].rjust(int(found["width"] or 0))
        elif found is not None:
            replaced[found["character"]] = format(numbers[found["number"]], found["format"])
        else:
            notes.append(f"devicesubst {rule}: does not carry over; write the device's path")
    return "".join(replaced.get(one, one) for one in text)


def _to_program(_name: str, settings: Settings, notes: list[str]) -> str:
    command = _one(settings, "exec") or "/bin/sh -i"
    notes.append(
        "it runs a program as the server's user, which everyone on the line shares: look at it, then enable it"
    )
    return f"exec:/bin/sh -ce {shlex.quote(command)}"


def _to_socket(_name: str, settings: Settings, _notes: list[str]) -> str:
    return f"unix:{_one(settings, 'uds')}"


_TARGETS: Final[dict[str, Callable[[str, Settings, list[str]], str]]] = {
    "host": _to_host,
    "device": _to_device,
    "exec": _to_program,
    "uds": _to_socket,
}
