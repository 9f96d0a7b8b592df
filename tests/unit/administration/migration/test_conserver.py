"""A conserver.cf becomes lines, and says what does not carry over."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.administration.migration.conserver import read_conserver
from telnetsd.administration.migration.conserver_syntax import Block, Include, Item, parse
from telnetsd.administration.migration.imported import Imported, line_name, to_toml
from telnetsd.errors import OperatorError


def _toml(imported: Imported) -> dict[str, Any]:
    return tomllib.loads("\n".join(to_toml(imported)))


def _line(items: str, before: str = "") -> tuple[dict[str, Any], list[str]]:
    """Return the line, and the notes, of one console."""
    imported = read_conserver(f"{before} console c {{ {items} }}")
    (row,) = _toml(imported)["line"]
    return row, imported.lines[0].notes


def test_quotes_backslashes_comments_and_white_space_are_read_as_conserver_does() -> None:
    text = '#include /etc/more.cf\n"defa"ult my\\ defs { rw  a b ; in\\clude "other # defs"\t; }  # the end\n'

    assert list(parse(text)) == [
        Include("/etc/more.cf"),
        Block("default", "my defs", (Item("rw", "a b", 2), Item("include", "other # defs", 2)), 2),
    ]


@pytest.mark.parametrize(
    ("items", "target"),
    [
        ("type host; host ts1; port 2002;", "telnet://ts1:2002"),
        ("type host; host 2001:db8::1; port 7;", "telnet://[2001:db8::1]:7"),
        ("type host; host ts1; port 3; portbase 2000; portinc 100;", "telnet://ts1:2300"),
        ("type host; host ts1; port telnet; protocol raw;", "tcp://ts1:23"),
        (
            "type device; device /dev/ttyS1; baud 115200; parity even;",
            "serial:///dev/ttyS1?baud=115200&parity=E&flow=xonxoff",
        ),
        (
            "type device; device /dev/ttyS1; baud 9600; options !ixon, cstopb;",
            "serial:///dev/ttyS1?baud=9600&stop=2",
        ),
        ("type device; device /dev/ttyS1; options crtscts;", "serial:///dev/ttyS1?baud=9600&flow=rtscts"),
        (
            "type device; device /dev/ttyC.; devicesubst .=P02d; portbase -1; port 9;",
            "serial:///dev/ttyC08?baud=9600&flow=xonxoff",
        ),
        ("type uds; uds /run/c.sock;", "unix:/run/c.sock"),
    ],
)
def test_each_type_of_console_has_its_target(items: str, target: str) -> None:
    row, notes = _line(items + " rw *;")

    assert row["target"] == target
    assert notes == []


def test_a_console_is_shared_and_kept_open_and_a_log_file_makes_it_recorded() -> None:
    row, _ = _line("type host; host h; port 1; rw *; logfile /var/log/&; logfilemax 10m; motd hello;")

    assert row | {"shared": True, "keep_open": True, "record": True, "description": "hello"} == row
    assert row["recording_max_bytes"] == 10 * 2**20
    assert _line("type host; host h; port 1; logfile /dev/null; options ondemand;")[0] == {
        "name": "c",
        "target": "telnet://h:1",
        "shared": True,
        "keep_open": False,
        "roles": ["operator"],
    }


def test_defaults_apply_in_the_order_of_the_file() -> None:
    before = "default * { rw *; logfile /l; } default ts { type host; host ts; include *; }"

    row, _ = _line('include ts; port 5; logfile "";', before)

    assert row["target"] == "telnet://ts:5"
    assert "record" not in row


def test_a_group_becomes_a_role_with_its_users() -> None:
    imported = read_conserver(
        "group ops { users ann, bob; users cy; } console c { type host; host h; port 1; rw ops; }"
    )

    assert _toml(imported)["roles"] == {"ops": {"includes": ["user"]}}
    assert _toml(imported)["line"][0]["roles"] == ["ops"]
    assert "# its user: telnetsd user change cy --role ops" in to_toml(imported)


@pytest.mark.parametrize("rw", ["", "rw ann;", "rw *; rw !bob;", "rw ops, ann;", "rw @wheel;"])
def test_an_access_list_that_does_not_map_is_for_operators_alone(rw: str) -> None:
    row, notes = _line(f"type host; host h; port 1; {rw}", "group ops { users bob; }")

    assert row["roles"] == ["operator"]
    assert any(note.endswith("give these users a role, and name it in roles") for note in notes)


def test_a_program_is_commented_out() -> None:
    imported = read_conserver("console c { type exec; exec \"ssh -t host 'sudo x'\"; rw *; }")

    assert _toml(imported) == {}
    assert "# target = \"exec:/bin/sh -ce 'ssh -t host '\\\"'\\\"'sudo x'\\\"'\\\"''\"" in list(to_toml(imported))


def test_what_does_not_carry_over_is_named() -> None:
    imported = read_conserver(
        "config * { sslrequired yes; } access * { trusted 10.0.0.1; }\n"
        "console a { type ipmi; host h; }\n"
        "console b { type host; host h; port 1; rw *; ro guest; initcmd x; timestamp 1h; options striphigh; }"
    )

    assert imported.notes == [
        "config *: sslrequired yes: does not carry over",
        "access *: trusted 10.0.0.1: does not carry over",
        "console a: type ipmi is not supported",
    ]
    assert imported.lines[0].notes == [
        "ro guest: every user of the line may also write to it",
        "initcmd x: does not carry over",
        "options striphigh: does not carry over",
    ]
    assert imported.not_carried_over == 6


def test_names_are_made_valid_and_unique() -> None:
    imported = read_conserver(
        "".join(f"console {name} {{ type host; host h; port 1; }}\n" for name in ("A b", "a-b", "_"))
    )

    assert [line.name for line in imported.lines] == ["a-b", "a-b-2", "line"]


@pytest.mark.parametrize(
    "text",
    ["console c {", "}", "console c { type host; } }", "a; b", "console c { { } }", "console c { include x; }", "x"],
)
def test_what_is_not_valid_is_refused_with_its_row(text: str) -> None:
    with pytest.raises(OperatorError, match="row 1"):
        read_conserver(text)


@pytest.mark.parametrize("rule", ["&=p2000000000d", "&=ps", "&=cd", "&=h3x", "&=q"])
def test_a_replacement_that_is_not_supported_is_named(rule: str) -> None:
    row, notes = _line(f"type device; device /dev/tty&; devicesubst {rule}; rw *;")

    assert row["target"].startswith("serial:///dev/tty&?")
    assert notes == [f"devicesubst {rule}: does not carry over; write the device's path"]


@pytest.mark.parametrize(
    "items", ["portbase x;", "portinc 1e9;", "port 99999999999999999999;", "baud abc; devicesubst &=bd;"]
)
def test_a_number_that_is_none_is_no_error(items: str) -> None:
    for kind in ("type host; host h;", "type device; device /dev/tty&;"):
        assert _line(f"{kind} {items} rw *;")[0]["name"] == "c"


@given(st.text(st.sampled_from('console default { } ; rw * " \\ # \n include port 1 \x7f'), max_size=80))
def test_any_text_is_read_or_refused_and_gives_valid_toml(text: str) -> None:
    try:
        imported = read_conserver(text)
    except OperatorError:
        return
    _toml(imported)


@given(st.text(max_size=100), st.sets(st.text(max_size=5)))
def test_any_name_becomes_a_valid_name(text: str, taken: set[str]) -> None:
    name = line_name(text, taken)

    assert name not in taken
    assert 0 < len(name) <= 64
    assert name.strip("abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
    assert name[0] not in "._-"
