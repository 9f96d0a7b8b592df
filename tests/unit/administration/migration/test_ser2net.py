"""A ser2net.yaml becomes lines, and says what does not carry over."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.administration.migration.imported import to_toml
from telnetsd.administration.migration.ser2net import read_ser2net
from telnetsd.errors import OperatorError


def _line(accepter: str, connector: str, options: str = "") -> tuple[dict[str, Any], list[str]]:
    text = f"connection: &c\n  accepter: {accepter}\n  connector: {connector}\n"
    if options:
        text += "  options:\n" + "".join(f"    {option}\n" for option in options.split("; "))
    imported = read_ser2net(text)
    (row,) = tomllib.loads("\n".join(to_toml(imported)))["line"]
    return row, imported.lines[0].notes


@pytest.mark.parametrize(
    ("connector", "target"),
    [
        ("serialdev,/dev/ttyS0,9600n81,local", "serial:///dev/ttyS0?baud=9600&parity=N&bits=8&stop=1"),
        (
            "serialdev(nouucplock=true),/dev/ttyUSB0,115200E72,RTSCTS",
            "serial:///dev/ttyUSB0?baud=115200&parity=E&bits=7&stop=2&flow=rtscts",
        ),
        ("serialdev,/dev/ttyS0,local", "serial:///dev/ttyS0"),
        ("tcp,192.0.2.1,7001", "tcp://192.0.2.1:7001"),
        ("telnet,tcp,ts1,23", "telnet://ts1:23"),
        ("tcp,2001:db8::1,23", "tcp://[2001:db8::1]:23"),
    ],
)
def test_each_connector_has_its_target(connector: str, target: str) -> None:
    assert _line("telnet(rfc2217),tcp,2001", connector)[0]["target"] == target


def test_the_port_is_kept_and_its_clients_are_told_to_use_tls() -> None:
    row, notes = _line("telnet(rfc2217),tcp,2001", "serialdev,/dev/ttyS0")
    assert row["listen"] == "0.0.0.0:2001"
    assert notes == ["clients of this port need TLS and a certificate now"]
    assert _line("tcp,localhost,2000", "serialdev,/dev/ttyS0")[0]["listen"] == "127.0.0.1:2000"
    row, notes = _line("telnet,mux,certauth,ssl,sctp,1234", "serialdev,/dev/ttyS0")
    assert "listen" not in row
    assert notes == ["accepter telnet,mux,certauth,ssl,sctp,1234: does not carry over; users connect by name"]


def test_options_that_carry_over() -> None:
    options = "kickolduser: true; timeout: 300; max-connections: 3; trace-both: /var/log/x; telnet-brk-on-sync: true"

    row, notes = _line("tcp,2000", "serialdev,/dev/ttyS0", options)

    assert (row["idle_timeout_s"], row["shared"], row["record"], row["record_input"]) == (300, True, True, True)
    assert notes[1:] == ["telnet-brk-on-sync true: does not carry over"]


def test_connections_with_the_same_key_anchors_and_aliases_are_all_read() -> None:
    imported = read_ser2net(
        "%YAML 1.1\n---\ndefine: &b \\r\\nhello\n"
        "connection: &one\n  accepter: tcp,2000\n  options:\n    banner: *b\n  connector: serialdev,/dev/ttyS0\n"
        "connection: &two\n  accepter: tcp,2001\n  enable: off\n  connector: serialdev,/dev/ttyS1\n"
        "connection: &three\n  accepter: tcp,2002\n  connector: stdio,/bin/sh\n"
        "rotator: &r\n  accepter: tcp,3000\n"
    )

    assert [line.name for line in imported.lines] == ["one"]
    assert imported.notes == [
        "connection two: it is not enabled",
        "connection three: the connector stdio,/bin/sh is not supported",
        "rotator r: does not carry over",
    ]


@pytest.mark.parametrize("text", ["", "just text", "a: [", "- 1\n- 2", "a: *nothing", "a: b: c", "x: " + "[" * 3000])
def test_what_is_not_valid_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(OperatorError, match=r"^ser2net.yaml [^\n]*$"):
        read_ser2net(text)


@pytest.mark.parametrize(
    "text",
    [
        "connection: &a [*a]\n",
        "connection: [1, 2]\n",
        "connection: &a\n  connector: [tcp, x]\n  options: [1]\n  accepter: {a: b}\n",
        "define: &a0 [x]\n" + "".join(f"define: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(9)),
    ],
)
def test_what_is_no_connection_is_no_error(text: str) -> None:
    assert read_ser2net(text).lines == []


@given(st.text(st.sampled_from("connection: &a*b\n  accepter tcp,1 []{}-#'\"\t!"), max_size=80))
def test_any_text_is_read_or_refused_and_gives_valid_toml(text: str) -> None:
    try:
        imported = read_ser2net(text)
    except OperatorError:
        return
    tomllib.loads("\n".join(to_toml(imported)))
