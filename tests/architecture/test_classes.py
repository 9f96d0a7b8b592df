"""How big a class may become, and what of a library's inside is used."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import telnetlib3
from cryptography import x509
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from OpenSSL import SSL

import telnetsd
from telnetsd.telnet.client_protocol import _Client

SOURCES = Path(telnetsd.__file__).parent
METHODS_MAX = 20
POSITIONAL_MAX = 5

LIBRARY_INTERNALS = {
    "OpenSSL.SSL": {"_lib"},
    "OpenSSL.SSL.Connection": {"_ssl"},
    "OpenSSL.SSL.Context": {"_context"},
    "cryptography.x509.RFC822Name": {"_init_without_validation"},
    "nats.aio.client.Client": {"_transport"},
    "nats.aio.transport.TcpTransport": {"_io_writer"},
    "telnetlib3.client_base.BaseClient": {
        "_closing",
        "_detect_syncterm_font",
        "_process_chunk",
        "_process_rx",
        "_rx_bytes",
        "_rx_queue",
        "_rx_task",
        "_waiter_connected",
        "_writer_factory",
    },
}
"""Every private attribute of a library that telnetsd uses, by the object that has it."""


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                yield f"{path.relative_to(SOURCES)}: {node.name}", node


def methods_of(node: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_no_class_has_more_than_twenty_methods() -> None:
    assert [name for name, node in classes() if len(methods_of(node)) > METHODS_MAX] == []


def test_no_constructor_has_more_than_five_positional_arguments() -> None:
    too_many = []
    for module in pkgutil.walk_packages(telnetsd.__path__, "telnetsd."):
        if module.name == "telnetsd.__main__":
            continue
        for name, one in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if (
                one.__module__ == module.name
                and not issubclass(one, BaseException)
                and positional_of(one) > POSITIONAL_MAX
            ):
                too_many.append(f"{module.name}.{name}")
    assert not too_many, "\n".join(too_many)


def positional_of(one: type) -> int:
    """Count the positional parameters of a constructor; one that is inherited from a library has none of ours."""
    constructor = inspect.getattr_static(one, "__init__")
    if inspect.isfunction(constructor) and constructor.__module__.partition(".")[0] not in {"telnetsd", "builtins"}:
        return 0
    try:
        parameters = inspect.signature(one).parameters.values()
    except (ValueError, TypeError):
        return 0
    return sum(1 for each in parameters if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD})


async def test_each_private_attribute_of_a_library_that_is_used_exists() -> None:
    client = telnetlib3.client_base.BaseClient()
    connection = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
    objects = {
        "OpenSSL.SSL": SSL,
        "OpenSSL.SSL.Connection": connection,
        "OpenSSL.SSL.Context": connection.get_context(),
        "cryptography.x509.RFC822Name": x509.RFC822Name,
        "nats.aio.client.Client": Client(),
        "nats.aio.transport.TcpTransport": TcpTransport(),  # type: ignore[no-untyped-call]
        "telnetlib3.client_base.BaseClient": client,
    }
    missing = [
        f"{name}.{attribute}: telnetsd uses it, and this version of the library does not have it"
        for name, attributes in LIBRARY_INTERNALS.items()
        for attribute in sorted(attributes)
        if not hasattr(objects[name], attribute)
    ]
    assert missing == []


async def test_no_other_private_attribute_of_a_library_is_used() -> None:
    foreign = re.compile(r"(?<![\w.])(?!self\b|cls\b)\w[\w.]*\.(_[a-z]\w*)")
    used = {
        name
        for path in SOURCES.rglob("*.py")
        for line in path.read_text().splitlines()
        if "noqa: SLF001" in line
        for name in foreign.findall(line.split("#", maxsplit=1)[0])
    }
    own = {name for _, node in classes() for name in (each.name for each in methods_of(node))}
    listed = set().union(*LIBRARY_INTERNALS.values())
    assert used - own - listed == set()
    inherited = {name for name in private_names_of(_Client) if hasattr(telnetlib3.client_base.BaseClient(), name)}
    assert inherited == LIBRARY_INTERNALS["telnetlib3.client_base.BaseClient"]


def private_names_of(one: type) -> set[str]:
    """Return the private names that a class defines or uses on itself."""
    source = inspect.getsource(one)
    return set(re.findall(r"(?:self\.|def |^ {4})(_[a-z]\w*)", source, re.MULTILINE))
