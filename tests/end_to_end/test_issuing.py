"""Issuing on the command line: requests, invalid requests, many users at once, and names that resemble others."""

import csv
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from end_to_end.test_enrolment import BAD_REQUESTS
from support.command_line import done, refused, telnetsd
from support.requests import make_csr, pem
from support.server import action_of, get, read_events
from telnetsd.files.home import Home


def test_a_request_file_leaves_the_private_key_with_the_user(home: Home, tmp_path: Path) -> None:
    csr = make_csr(None, rsa.generate_private_key(65537, 2048))
    (tmp_path / "nina.csr").write_text(pem(csr))
    done(home, "user", "add", "nina", "--csr", tmp_path / "nina.csr", "--days", "30")
    (leaf,) = x509.load_pem_x509_certificates((home.users_folder / "nina.pem").read_bytes())
    root = x509.load_pem_x509_certificate(home.ca_certificate.read_bytes())
    assert leaf.public_key() == csr.public_key()
    assert leaf.subject.rfc4514_string() == "CN=nina"
    leaf.verify_directly_issued_by(root)
    assert sorted(path.name for path in home.users_folder.glob("nina*")) == ["nina.pem"]


@pytest.mark.parametrize("kind", [kind for kind in BAD_REQUESTS if kind not in {"given up", "without end", "no PEM"}])
def test_a_bad_request_file_is_refused_in_one_line_and_leaves_nothing_behind(
    kind: str, home: Home, tmp_path: Path
) -> None:
    make, _, said = BAD_REQUESTS[kind]
    (tmp_path / "nina.csr").write_text(make())
    before = read_events(home)
    assert said in refused(home, "user", "add", "nina", "--csr", tmp_path / "nina.csr")
    assert read_events(home) == before
    assert not list(home.users_folder.glob("nina*"))


def test_a_key_belongs_to_one_user(home: Home, tmp_path: Path) -> None:
    key = load_pem_private_key((home.users_folder / "bob.key").read_bytes(), None)
    (tmp_path / "x.csr").write_text(pem(make_csr(None, key)))
    assert "that key already belongs to bob" in refused(home, "user", "add", "nina", "--csr", tmp_path / "x.csr")


def test_a_compromised_key_is_never_certified_again_and_all_its_certificates_are_revoked(
    home: Home, tmp_path: Path
) -> None:
    done(home, "user", "renew", "bob")
    oldest = json.loads(done(home, "user", "show", "bob", "--json"))["certificates"][-1]["serial_number"]
    assert len(done(home, "user", "revoke", "--serial", oldest, "--reason", "keyCompromise").splitlines()) == 2
    assert "was revoked as compromised" in refused(home, "user", "renew", "bob")
    done(home, "user", "renew", "bob", "--new-key")


@pytest.mark.parametrize(
    ("name", "like"), [("b0b", "bob"), ("a1ice", "alice"), ("al-ice", "alice"), ("a.lice", "alice"), ("b_ob", "bob")]
)
def test_a_name_that_resembles_the_name_of_a_user_needs_an_extra_option(name: str, like: str, home: Home) -> None:
    assert f"{name} is easily mistaken for the user {like}" in refused(home, "user", "add", name)
    done(home, "user", "add", name, "--allow-similar", "--key-type", "ed25519")


@pytest.mark.parametrize(
    "name",
    [
        "n\u0456na",
        "nina\n",
        "nina\x1b[2J",
        "ni\u202ena",
        "n" * 10_000,
        "",
        " ",
        "nina bob",
        "n/../x",
        "-rf",
        "\uff4eina",
    ],
)
def test_an_invalid_user_name_is_refused_in_one_printable_line(name: str, home: Home) -> None:
    finished = telnetsd(home, "user", "add", "--", name)
    assert finished.returncode == 1
    line = finished.stderr.rstrip("\n")
    assert line.isprintable()
    assert line.isascii()
    assert "cannot be a user name" in line
    assert len(line) < 200


@pytest.mark.parametrize(
    "words",
    [
        ("--csr", "x", "--pin", "y"),
        ("--mapped", "--pin", "y"),
        ("--csr", "x", "--key-type", "rsa"),
        ("--mapped", "--days", "3"),
        ("--pin", "y", "--class", "1"),
    ],
)
def test_conflicting_options_are_a_usage_error(words: tuple[str, ...], home: Home) -> None:
    assert telnetsd(home, "user", "add", "nina", *words).returncode == 2


def write_csv(path: Path, *rows: tuple[str, ...]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_many_users_are_added_from_a_csv_file(home: Home, tmp_path: Path) -> None:
    rows = [(f"user{chr(97 + at)}x", "user operator" if at % 2 else "", "ed25519", "30") for at in range(26)]
    file = write_csv(tmp_path / "users.csv", ("name", "roles", "key_type", "days"), *rows, ("bob", "", "", ""))
    assert "line 28: user bob already exists; add --skip-existing" in refused(home, "user", "import", file)
    assert len(json.loads(done(home, "user", "list", "--json"))) == 3, "nobody was added"
    assert done(home, "user", "import", file, "--skip-existing") == "added 26 users; their files are in certs/users\n"
    users = {one["user"]["name"]: one for one in json.loads(done(home, "user", "list", "--json"))}
    assert users["userbx"]["user"]["roles"] == ["operator", "user"]
    assert users["userax"]["certificates"][0]["public_key"] == "Ed25519 256"
    issued = [one for one in read_events(home) if action_of(one) == "certificate-issued"]
    assert {get(one, "user.target.name") for one in issued} >= {row[0] for row in rows}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("user",), ("nina",)], "line 1: the columns are name, roles, class, days, key_type, and name is required"),
        ([("name", "shoe"), ("nina", "42")], "line 1: the columns are"),
        ([("name",), ("Nina",)], "line 2: 'Nina' cannot be a user name"),
        ([("name",), ("nina",), ("nina",)], "line 3: user nina already exists"),
        ([("name",), ("nina",), ("n1na",), ("nlna",)], "line 4: nlna is easily mistaken for n1na"),
        ([("name", "days"), ("nina", "soon")], "line 2: days and class are numbers"),
        ([("name", "days"), ("nina", "99999")], "line 2: a certificate cannot be valid for 99999 days"),
        ([("name", "class"), ("nina", "3")], "line 2: no class 3"),
        ([("name", "key_type"), ("nina", "dsa")], "line 2: unknown key type 'dsa'; use one of ec, rsa, ed25519"),
        ([("name", "roles"), ("nina", "boss")], "line 2: unknown role 'boss'"),
    ],
)
def test_a_csv_file_with_an_error_adds_no_user(
    rows: list[tuple[str, ...]], said: str, home: Home, tmp_path: Path
) -> None:
    assert said in refused(home, "user", "import", write_csv(tmp_path / "users.csv", *rows))
    assert not list(home.users_folder.glob("ni*"))


def test_a_file_that_is_not_csv_is_refused(home: Home, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"name\n\xff\xfe\n")
    assert "is not a CSV file in UTF-8" in refused(home, "user", "import", tmp_path / "x.csv")
    assert "cannot read" in refused(home, "user", "import", tmp_path / "gone.csv")
    assert "Is a directory" in refused(home, "user", "import", tmp_path)
