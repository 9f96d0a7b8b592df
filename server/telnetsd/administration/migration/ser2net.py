"""ser2net.yaml as lines: what carries over, and what does not (ser2net.yaml(5))."""

import importlib.util
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from telnetsd.administration.migration.imported import Imported, ImportedLine, host_port, line_name
from telnetsd.errors import OperatorError

_SPEED: Final = re.compile(r"([0-9]+)([NEOMS])?([5-8])?([12])?", re.IGNORECASE)
_FLOWS: Final = {"rtscts": "rtscts", "xonxoff": "xonxoff"}
_WITHOUT_EFFECT: Final = frozenset({"local", "nobreak", "-rtscts", "-xonxoff", "kickolduser", "banner"})
DEPTH_MAX: Final = 2
"""A connection has options, and they have values."""
_OFF: Final = frozenset({"off", "false", "no"})

Pairs = list[tuple[str, Any]]
"""A mapping in which a key may come several times; `Any` is a string, a list, or pairs again."""


def read_ser2net(text: str) -> Imported:
    """Return what a ser2net.yaml says.

    Raises:
        OperatorError: It is not valid, or the library for YAML is not installed.
    """
    imported = Imported()
    for key, name, value in _entries(text):
        if key == "connection" and isinstance(value, list):
            _add_line(imported, name, value)
        elif key != "define":
            imported.notes.append(f"{key} {name}: does not carry over".replace("  ", " "))
    return imported


def _entries(text: str) -> list[tuple[str, str, Any]]:
    """Return the entries of the top level in order: key, anchor, value."""
    if importlib.util.find_spec("yaml") is None:
        raise OperatorError("ser2net.yaml needs a library that is not installed; run: pip install 'telnetsd[import]'")
    import yaml

    class Loader(yaml.SafeLoader):
        """Keeps the names of anchors: they are the names of connections."""

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            event = self.peek_event()  # type: ignore[no-untyped-call]
            anchor = None if isinstance(event, yaml.AliasEvent) else event.anchor
            node = super().compose_node(parent, index)
            if anchor and node is not None:
                names[id(node)] = anchor
            return node

    names: dict[int, str] = {}
    try:
        root = Loader(text).get_single_node()
    except yaml.YAMLError as error:
        raise OperatorError(f"ser2net.yaml is not valid: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise OperatorError("ser2net.yaml is nested too deeply: is this the right file?") from error
    if not isinstance(root, yaml.MappingNode):
        raise OperatorError("ser2net.yaml has no entries: is this the right file?")
    return [(str(key.value), names.get(id(value), ""), _plain(value, DEPTH_MAX)) for key, value in root.value]


def _plain(node: Any, depth: int) -> Any:  # noqa: ANN401 -- a node of the library, and see Pairs
    """Return the content of a node, as deep as a configuration goes; a key that comes several times stays so."""
    if isinstance(node.value, str):
        return node.value
    if node.id == "mapping" and depth:
        return [(str(key.value), _plain(value, depth - 1)) for key, value in node.value]
    return ""


def _add_line(imported: Imported, name: str, connection: Pairs) -> None:
    keys: dict[str, Any] = dict(connection)
    if str(keys.get("enable", "on")).lower() in _OFF:
        imported.notes.append(f"connection {name}: it is not enabled")
        return
    connector = _stack(str(keys.get("connector", "")))
    make = _TARGETS.get(tuple(layer for layer in connector if layer in _LAYERS))
    if make is None:
        imported.notes.append(f"connection {name}: the connector {','.join(connector)} is not supported")
        return
    line = ImportedLine(line_name(name, {one.name for one in imported.lines}), "")
    line.target = make([part for part in connector if part not in _LAYERS], line.notes)
    _set_listen(line, _stack(str(keys.get("accepter", ""))))
    options = keys.get("options", [])
    for key, value in options if isinstance(options, list) else []:
        _set_option(line, key, value)
    imported.lines.append(line)


def _stack(text: str) -> list[str]:
    """Return the parts of a gensio string, without the options in parentheses."""
    return [part.strip() for part in re.sub(r"\([^)]*\)", "", text).split(",") if part.strip()]


def _set_listen(line: ImportedLine, accepter: list[str]) -> None:
    layers = [part for part in accepter if part in _LAYERS | {"rfc2217"}]
    place = [part for part in accepter if part not in layers]
    if "tcp" not in layers or not place or not place[-1].isdecimal():
        line.notes.append(f"accepter {','.join(accepter)}: does not carry over; users connect by name")
        return
    host = place[0] if len(place) > 1 else "0.0.0.0"  # noqa: S104 -- as it was
    line.settings["listen"] = host_port("127.0.0.1" if host == "localhost" else host, place[-1])
    line.notes.append("clients of this port need TLS and a certificate now")


def _set_option(line: ImportedLine, key: str, value: Any) -> None:  # noqa: ANN401 -- see Pairs
    if key == "timeout" and str(value).isdecimal():
        if int(value):
            line.settings["idle_timeout_s"] = int(value)
    elif key == "max-connections" and str(value).isdecimal():
        line.settings["shared"] = int(value) > 1
    elif key.startswith("trace-") and isinstance(value, str) and value:
        line.settings["record"] = True
        if key != "trace-write":
            line.settings["record_input"] = True
    elif key not in _WITHOUT_EFFECT:
        line.notes.append(f"{key} {value}: does not carry over")


def _to_serial(parts: list[str], notes: list[str]) -> str:
    device, *options = parts or ["/dev/null"]
    query: dict[str, str] = {}
    for option in options:
        speed = _SPEED.fullmatch(option)
        if speed is not None:
            names = ("baud", "parity", "bits", "stop")
            query |= {name: value.upper() for name, value in zip(names, speed.groups(), strict=True) if value}
        elif option.lower() in _FLOWS:
            query["flow"] = _FLOWS[option.lower()]
        elif option.lower() not in _WITHOUT_EFFECT:
            notes.append(f"{option} of {device}: does not carry over")
    return f"serial://{device}" + (f"?{urlencode(query)}" if query else "")


def _to_tcp(parts: list[str], notes: list[str]) -> str:
    return f"tcp://{_peer(parts, notes)}"


def _to_telnet(parts: list[str], notes: list[str]) -> str:
    return f"telnet://{_peer(parts, notes)}"


def _to_tls(parts: list[str], notes: list[str]) -> str:
    notes.append("the upstream's certificate has to be valid for its host name; see the keys ca, certificate and key")
    return f"tls://{_peer(parts, notes)}"


def _peer(parts: list[str], notes: list[str]) -> str:
    if len(parts) < 2:
        notes.append(f"{','.join(parts)}: no host and port; 127.0.0.1:23 is written instead")
        return "127.0.0.1:23"
    return host_port(parts[0], parts[1])


_LAYERS: Final = frozenset({"serialdev", "sdev", "tcp", "telnet", "ssl"})
_TARGETS: Final[dict[tuple[str, ...], Callable[[list[str], list[str]], str]]] = {
    ("serialdev",): _to_serial,
    ("sdev",): _to_serial,
    ("tcp",): _to_tcp,
    ("telnet", "tcp"): _to_telnet,
    ("ssl", "tcp"): _to_tls,
}
