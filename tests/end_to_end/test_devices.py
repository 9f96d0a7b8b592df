"""Users with several certificates: one a device, listed, renewed and revoked one by one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.audit import read_log
from support.client import Client, connect_as
from support.command_line import done, refused, telnetsd
from support.requests import make_csr, pem
from support.server import RunningServer, action_of, get
from telnetsd.administration.authority.issuing import Grant
from telnetsd.administration.users import names
from telnetsd.administration.users.credentials import user_files
from telnetsd.administration.users.users import NewUser, add_user
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def connect_with(server: RunningServer, user: str, label: str) -> Client:
    files = user_files(server.home, user, label)
    return Client(server.port, server.home.ca_certificate, (files.certificate, files.key))


def test_a_certificate_for_another_device_leaves_the_files_of_the_first_as_they_are(home: Home) -> None:
    before = files_below(home.users_folder)
    said = done(home, "user", "issue", "bob", "--label", "laptop")
    assert said.startswith("issued to bob for laptop, certificate valid until ")
    assert ", ".join(f"certs/users/bob/laptop.{kind}" for kind in ("pem", "key", "p12")) in said
    after = files_below(home.users_folder)
    assert {name: after[name] for name in before} == before
    assert sorted(after.keys() - before.keys()) == [f"bob/laptop.{kind}" for kind in ("key", "p12", "pem")]
    assert (home.users_folder / "bob").stat().st_mode & 0o777 == 0o700
    assert (home.users_folder / "bob" / "laptop.key").stat().st_mode & 0o777 == 0o600
    again = refused(home, "user", "issue", "bob", "--label", "laptop")
    assert again == (
        "error: bob has a certificate for laptop; use another label, or: telnetsd user renew bob --label laptop"
    )
    for label in ("Laptop", "../x", "", "x" * 33):
        assert telnetsd(home, "user", "issue", "bob", "--label", label).returncode == 1
    assert files_below(home.users_folder) == after


def test_a_device_on_hold_keeps_its_label_and_its_key(home: Home) -> None:
    done(home, "user", "issue", "bob", "--label", "phone")
    key = user_files(home, "bob", "phone").key.read_bytes()
    done(home, "user", "revoke", "bob", "--label", "phone", "--reason", "certificateHold")
    said = refused(home, "user", "issue", "bob", "--label", "phone")
    assert said.startswith("error: bob has a certificate for phone; use another label")
    assert user_files(home, "bob", "phone").key.read_bytes() == key


@pytest.mark.parametrize("name", ["carl.pem", "carl.key", "carl.p12"])
def test_a_new_user_has_no_name_like_a_file(name: str, home: Home) -> None:
    said = f"error: '{name}' cannot be a user name: it is like the name of a file; use another ending"
    assert refused(home, "user", "add", name) == said
    assert refused(home, "user", "rename", "bob", name) == said


def test_a_user_of_an_older_version_with_a_name_like_a_file_has_no_labels(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(names, "FILE_SUFFIXES", ())
        add_user(home, NewUser(User("carl.pem", ("user",)), is_mapped=True), None, Grant())
    said = refused(home, "user", "issue", "carl.pem", "--label", "phone")
    assert said.startswith("error: carl.pem cannot have labels: it is like the name of a file; ")
    done(home, "user", "rename", "carl.pem", "carl")


def test_each_device_is_renewed_and_revoked_alone(start: Callable[..., RunningServer], home: Home) -> None:
    done(home, "user", "issue", "bob", "--label", "laptop")
    server = start()
    old = (home.users_folder / "bob.pem").read_bytes()
    done(home, "user", "renew", "bob", "--label", "laptop", "--new-key")
    assert (home.users_folder / "bob.pem").read_bytes() == old
    assert refused(home, "user", "renew", "bob", "--label", "phone").startswith(
        "error: bob has no certificate of this CA for phone to renew; "
    )
    with connect_with(server, "bob", "laptop") as laptop, connect_as(server, "bob") as first:
        laptop.read_until()
        first.read_until()
        assert "laptop" not in done(home, "user", "revoke", "alice")
        done(home, "user", "revoke", "bob", "--label", "laptop")
        assert "was revoked on" in laptop.read_to_end()
        assert first.command("echo still here") == "still here"
    assert "nothing to revoke: bob for laptop" in refused(home, "user", "revoke", "bob", "--label", "laptop")
    done(home, "user", "issue", "bob", "--label", "laptop")
    done(home, "user", "remove", "bob")
    assert [name for name in files_below(home.users_folder) if name.startswith("bob")] == []


def test_the_device_without_a_label_is_called_first_and_no_other_one_is(home: Home) -> None:
    assert "first is the device that has no label" in refused(home, "user", "issue", "bob", "--label", "first")
    done(home, "user", "issue", "bob", "--label", "laptop")
    done(home, "user", "renew", "bob", "--label", "first")
    shown = done(home, "user", "show", "bob")
    assert "  device       first\n" in shown
    assert "  device       first (renewed: it has a successor)\n" in shown
    done(home, "user", "revoke", "bob", "--label", "first", "--reason", "keyCompromise")
    shown = done(home, "user", "show", "bob")
    assert shown.count("days left)") == 1
    assert shown.count("(keyCompromise)") == 2
    assert "use another one: --new-key" in refused(home, "user", "renew", "bob", "--label", "first")


def test_several_users_are_revoked_at_once(home: Home, tmp_path: Path) -> None:
    done(home, "user", "add", "contractor-1", "--role", "user")
    done(home, "user", "add", "contractor-2", "--role", "auditor")
    leavers = tmp_path / "leavers.csv"
    leavers.write_text("name,left\ncontractor-1,2026-11-30\ned,2026-11-30\n")
    said = done(home, "user", "revoke", "--file", leavers)
    assert [line.split()[3] for line in said.splitlines()] == ["contractor-1", "ed"]
    assert " of contractor-2 is revoked" in done(home, "user", "revoke", "--role", "auditor")
    leavers.write_text("bob\nnobody\n")
    said = refused(home, "user", "revoke", "--file", leavers)
    assert said == "error: no user 'nobody'; nothing was revoked; see: telnetsd user list"
    until = {one["user"]["name"]: one["certificates"][0]["revocation"] for one in users(home)}
    assert [name for name, revocation in until.items() if revocation is None] == ["alice", "bob"]
    assert telnetsd(home, "user", "revoke", "bob", "--role", "user").returncode == 2
    revoked = [one for one in read_log(home.audit_file) if action_of(one) == "certificate-revoked"]
    assert [get(one, "user.target.name") for one in revoked] == ["contractor-1", "ed", "contractor-2"]


def users(home: Home, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done(home, "user", "list", "--json", *words))
    return found


def test_the_list_has_last_login_devices_and_class(start: Callable[..., RunningServer], home: Home) -> None:
    server = start('[classes.3]\noid = "1.2.3.4"\nname = "seen"\nchecked = "in person"\n')
    done(home, "user", "add", "nina", "--class", "3")
    done(home, "user", "issue", "bob", "--label", "laptop")
    with connect_with(server, "bob", "laptop") as bob:
        bob.read_until()
    server.session_from(bob.port, "session-ended")
    rows = {line.split()[0]: line.split() for line in done(home, "user", "list").splitlines()}
    assert rows["user"] == ["user", "roles", "class", "devices", "last", "login", "until", "days"]
    assert rows["bob"][2:5] == ["1", "first,", "laptop"]
    assert rows["nina"][2:5] == ["3", "first", "never"]
    listed = {one["user"]["name"]: one for one in users(home)}
    assert (listed["nina"]["class"], listed["nina"]["last_login"]) == (3, None)
    assert str(listed["bob"]["last_login"])[:4].isdigit()
    shown = done(home, "user", "show", "bob")
    first, laptop = shown.split("  device       ")[2], shown.split("  device       ")[1]
    assert laptop.startswith("laptop\n")
    assert "last login   never" in first
    assert "last login   20" in laptop
    inactive = [one["user"]["name"] for one in users(home, "--inactive", "0d")]
    assert set(inactive) == {"alice", "bob", "ed", "nina"}
    assert users(home, "--inactive", "90d") == []
    assert [one["assurance_class"] for one in listed["nina"]["certificates"] + listed["bob"]["certificates"]] == [
        3,
        1,
        1,
    ]


def test_users_are_not_called_inactive_when_the_log_does_not_go_back_that_far(home: Home) -> None:
    lines = home.audit_file.read_bytes().splitlines(keepends=True)
    home.audit_file.write_bytes(b"".join(lines[2:]))
    said = refused(home, "user", "list", "--inactive", "90d")
    assert said.startswith("error: the audit log has no logins before 20")
    assert said.endswith(": its older files were removed; use a shorter time")
    assert users(home, "--inactive", "0d")


@pytest.mark.parametrize("label", ["", "phone"])
def test_an_approved_request_of_an_existing_user_overwrites_no_file(
    label: str, start: Callable[..., RunningServer], home: Home
) -> None:
    server = start()
    before = files_below(home.users_folder)
    with connect_as(server) as guest:
        guest.read_until()
        guest.send(b"enroll bob csr\r\n" + pem(make_csr("bob")).replace("\n", "\r\n").encode())
        guest.read_until(b"until ")
    (request,) = json.loads(done(home, "request", "list", "--json"))
    words = ["--label", label] if label else []
    done(home, "request", "approve", request["id"], "--user", "bob", *words)
    after = files_below(home.users_folder)
    assert {name: after[name] for name in before} == before
    assert sorted(after.keys() - before.keys()) == [f"bob/{label or request['id']}.pem"]


def test_a_renamed_user_keeps_everything_and_the_former_name_is_never_given_again(
    start: Callable[..., RunningServer], home: Home
) -> None:
    done(home, "user", "issue", "bob", "--label", "laptop")
    server = start()
    with connect_as(server, "bob") as bob:
        bob.read_until()
        bob.command("echo before")
        said = done(home, "user", "rename", "bob", "robert")
        assert said == "bob is now robert; open sessions of bob end, and the same certificates log in as robert\n"
        assert "your certificate now maps to another user: this session ends; connect again" in bob.read_to_end()
    (renamed,) = [one for one in users(home) if one["user"]["name"] == "robert"]
    assert renamed["last_login"] is not None
    assert "last login   20" in done(home, "user", "show", "robert")
    assert sorted(name for name in files_below(home.users_folder) if name.startswith(("bob", "robert"))) == [
        *(f"robert.{kind}" for kind in ("key", "p12", "pem")),
        *(f"robert/laptop.{kind}" for kind in ("key", "p12", "pem")),
    ]
    assert (home.users_folder / "robert.key").stat().st_mode & 0o777 == 0o600
    for label in ("", "laptop"):
        with connect_with(server, "robert", label) as robert:
            assert "you are robert (user; class 1)" in robert.read_until()
            robert.command("echo after")
    assert refused(home, "user", "add", "bob") == (
        "error: bob was the name of robert, and is never given again; use another name"
    )
    assert "was the name of robert" in refused(home, "user", "rename", "alice", "bob")
    assert refused(home, "user", "rename", "robert", "alice").startswith("error: user alice already exists; ")
    assert "is easily mistaken for the user alice" in refused(home, "user", "rename", "robert", "a1ice")
    for name in ("bob", "robert"):
        found = done(home, "audit", "search", "--user", name, "--action", "command-executed")
        assert [line.split()[-1] for line in found.splitlines() if " echo " in line] == ["before", "after", "after"]
    done(home, "user", "rename", "robert", "bobby")
    assert refused(home, "user", "add", "bob").startswith("error: bob was the name of bobby, ")
    assert len(done(home, "audit", "search", "--user", "bob", "--action", "user-renamed").splitlines()) == 3
    done(home, "user", "remove", "bobby")
    assert "was the name of bobby" in refused(home, "user", "add", "robert")
