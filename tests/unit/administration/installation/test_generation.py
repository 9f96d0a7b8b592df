"""A home folder as a server loads it, and each error that it can have."""

import stat
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from telnetsd.administration.authority.authorities import load_issuer
from telnetsd.administration.examine import CheckResult, examine
from telnetsd.administration.installation.generation import load_generation, load_server_pair
from telnetsd.errors import OperatorError
from telnetsd.files.atomic import write_secret
from telnetsd.files.home import Home, find_home, require_secret


def test_a_home_folder_loads_with_one_entry_for_the_built_in_ca(home: Home) -> None:
    generation = load_generation(home)
    assert [entry.id for entry in generation.policy.entries] == ["built-in-ca"]
    assert len(generation.trust.anchors) == 1
    assert generation.server_chain


def dsa_key() -> bytes:
    return dsa.generate_private_key(2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def locked_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda home: home.server_certificate.unlink(),
            "no server certificate at certs/server.pem; run: telnetsd init",
        ),
        (lambda home: home.server_certificate.write_text("x"), "cannot read certs/server.pem: "),
        (
            lambda home: home.server_key.unlink(),
            "no private key at certs/server.key; put it back, or run: telnetsd ca renew-server",
        ),
        (lambda home: home.server_key.write_text("x"), "cannot read certs/server.key: "),
        (lambda home: home.server_key.write_bytes(locked_key()), "put back an unencrypted PEM key"),
        (lambda home: home.server_key.write_bytes(dsa_key()), "its type is not accepted"),
    ],
    ids=["no certificate", "no PEM", "no key", "no PEM key", "an encrypted key", "DSA"],
)
def test_an_unusable_server_key_pair_is_reported_with_a_message(
    damage: Callable[[Home], object], words: str, home: Home
) -> None:
    damage(home)
    with pytest.raises(OperatorError) as caught:
        load_server_pair(home)
    assert words in str(caught.value)


def test_a_ca_whose_certificate_is_missing_cannot_sign(home: Home) -> None:
    home.ca_certificate.unlink()
    with pytest.raises(OperatorError, match=r"cannot read certs/ca\.pem: "):
        load_issuer(home)


def test_a_ca_key_that_is_elsewhere_is_only_a_warning(home: Home) -> None:
    home.ca_key.unlink()
    findings = {one.part: one.verdict for one in examine(home)}
    assert findings.pop("built-in CA") is CheckResult.WARNING
    assert set(findings.values()) == {CheckResult.OK}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o601])
def test_a_secret_accessible_to_others_is_refused(mode: int, home: Home) -> None:
    home.server_key.chmod(mode)
    with pytest.raises(OperatorError, match=rf"open to others \(mode 0{mode:o}\)"):
        require_secret(home, home.server_key)


def test_a_secret_file_is_private_from_its_creation_and_follows_no_link(home: Home) -> None:
    path = home.root / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_secret(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_home_folder_is_the_given_one_or_that_of_the_environment_or_the_current_folder(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home.root)
    monkeypatch.delenv("TELNETSD_HOME", raising=False)
    assert find_home(None) == home
    monkeypatch.setenv("TELNETSD_HOME", "/environment")
    assert find_home(None).root.as_posix() == "/environment"
    assert find_home(home.root) == home
    assert home.shown(home.root.parent / "elsewhere") == str(home.root.parent / "elsewhere")
