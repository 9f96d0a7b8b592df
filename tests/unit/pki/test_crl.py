"""CRLs (RFC 5280 sections 5 and 6.3): which of them counts, what it says, and that none of them does harm."""

import time
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from support.certificates import DAY, Pair, Recipe, ca_extensions, key_usage, make_ca, now
from support.certificates import make_crl as make_crl_of
from telnetsd.errors import OperatorError
from telnetsd.pki import crl as crl_module
from telnetsd.pki.certificate import certificate_sha256
from telnetsd.pki.crl import CrlProblem, CrlStatus, RevocationLists, load_revocation_lists
from telnetsd.pki.revocation import RevocationReason

CA = make_ca("CRL CA")
OTHER = make_ca("Other CA")
LEAF = Recipe().signed_by(CA)
STRANGER = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\0")
SERIAL = LEAF.certificate.serial_number
make_crl = partial(make_crl_of, issuer=CA)


def load(folder: Path, *contents: bytes, before: RevocationLists | None = None) -> RevocationLists:
    files = []
    for index, content in enumerate(contents):
        path = folder / f"{index}.crl"
        path.write_bytes(content)
        files.append((path, f"certs/crl/{index}.crl"))
    return load_revocation_lists(files, before or RevocationLists())


def status(lists: RevocationLists, issuer: Pair = CA, at: datetime | None = None) -> CrlStatus:
    certificate = issuer.certificate
    return lists.status_of(LEAF.certificate, certificate, certificate_sha256(certificate), at or now())


def problems(lists: RevocationLists, *authorities: Pair) -> list[CrlProblem]:
    return [one.problem for one in lists.find_problems([ca.certificate for ca in authorities or (CA,)], now())]


def test_a_current_crl_says_revoked_with_date_and_reason_or_good(tmp_path: Path) -> None:
    lists = load(tmp_path, make_crl(SERIAL, 7, reason=x509.ReasonFlags.superseded))
    found = status(lists)
    assert found.is_known
    assert found.revocation is not None
    assert found.revocation.reason is RevocationReason.SUPERSEDED
    assert abs(found.revocation.revoked_at - (now() - timedelta(hours=1))) < timedelta(seconds=5)
    assert status(load(tmp_path, make_crl(7))) == CrlStatus(None, is_known=True)
    assert problems(lists) == []


def test_pem_is_read_as_well(tmp_path: Path) -> None:
    pem = x509.load_der_x509_crl(make_crl(SERIAL)).public_bytes(Encoding.PEM)
    assert status(load(tmp_path, pem)).revocation is not None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"hello", CrlProblem.UNREADABLE),
        (b"", CrlProblem.UNREADABLE),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", CrlProblem.UNREADABLE),
        (make_crl(issuer=make_ca("Nobody")), CrlProblem.UNKNOWN_ISSUER),
        (make_crl(issuer=Pair(CA.certificate, OTHER.key)), CrlProblem.BAD_SIGNATURE),
        (make_crl(at=now() - 20 * DAY, until=now() - DAY), CrlProblem.EXPIRED),
        (make_crl(at=now() + DAY), CrlProblem.NOT_YET_VALID),
        (make_crl(extensions=((x509.DeltaCRLIndicator(1), True),)), CrlProblem.UNSUPPORTED),
        (make_crl(extensions=((x509.DeltaCRLIndicator(1), False),)), CrlProblem.UNSUPPORTED),
        (
            make_crl(
                extensions=((x509.IssuingDistributionPoint(None, None, False, True, None, False, False), False),)
            ),
            CrlProblem.UNSUPPORTED,
        ),
        (
            make_crl(
                extensions=(
                    (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\0"), True),
                )
            ),
            CrlProblem.UNSUPPORTED,
        ),
    ],
)
def test_what_is_not_the_current_word_of_a_ca_is_found_and_said_in_one_line(
    content: bytes, problem: CrlProblem, tmp_path: Path
) -> None:
    lists = load(tmp_path, content)
    (found,) = lists.find_problems([CA.certificate], now())
    assert found.problem is problem
    assert found.message.startswith("certs/crl/0.crl ")
    assert found.message.isprintable()
    assert not status(lists).is_known


def test_a_crl_of_a_ca_that_may_not_sign_crls_does_not_count(tmp_path: Path) -> None:
    extensions = [ca_extensions()[0], (key_usage("key_cert_sign"), True)]
    mute = make_ca("Mute CA", extensions=extensions)
    lists = load(tmp_path, make_crl(SERIAL, issuer=mute))
    assert problems(lists, mute) == [CrlProblem.BAD_SIGNATURE]


def test_a_crl_of_the_same_name_and_another_key_says_nothing_of_this_ca(tmp_path: Path) -> None:
    namesake = make_ca("CRL CA")
    lists = load(tmp_path, make_crl(SERIAL, issuer=namesake))
    assert status(lists) == CrlStatus(None, is_known=False)
    assert status(lists, namesake).revocation is not None
    assert problems(lists, CA, namesake) == []


def test_of_two_crls_the_newer_one_counts_whatever_their_files_are_called(tmp_path: Path) -> None:
    older, newer = make_crl(SERIAL, at=now() - 2 * DAY), make_crl(at=now() - DAY)
    for contents in ((older, newer), (newer, older)):
        assert status(load(tmp_path, *contents)) == CrlStatus(None, is_known=True)


def test_of_two_crls_of_one_moment_the_higher_number_counts_and_of_twins_both(tmp_path: Path) -> None:
    at = now() - DAY
    first, second = make_crl(at=at, number=1), make_crl(SERIAL, at=at, number=2)
    for contents in ((first, second), (second, first)):
        assert status(load(tmp_path, *contents)).revocation is not None
    twins = make_crl(at=at, number=2), second
    assert status(load(tmp_path, *twins)).revocation is not None


def test_a_crl_of_tomorrow_does_not_hide_that_of_today(tmp_path: Path) -> None:
    lists = load(tmp_path, make_crl(SERIAL), make_crl(at=now() + DAY))
    assert status(lists).revocation is not None
    assert status(lists).is_known
    assert status(lists, at=now() + 2 * DAY) == CrlStatus(None, is_known=True)


def test_what_an_expired_crl_revoked_stays_revoked(tmp_path: Path) -> None:
    found = status(load(tmp_path, make_crl(SERIAL, at=now() - 20 * DAY, until=now() - DAY)))
    assert found.revocation is not None
    assert not found.is_known


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(tmp_path, make_crl(SERIAL))
    monkeypatch.setattr(crl_module, "_parse", None)
    again = load_revocation_lists([(tmp_path / "0.crl", "certs/crl/0.crl")], first)
    assert again.lists[0].positions is first.lists[0].positions


def test_a_file_that_is_far_too_large_or_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crl_module, "CRL_MAX_BYTES", 10)
    with pytest.raises(OperatorError, match="is too large for a CRL"):
        load(tmp_path, make_crl(SERIAL))
    with pytest.raises(OperatorError, match="cannot read gone: No such file"):
        load_revocation_lists([(tmp_path / "gone", "gone")], RevocationLists())


def test_an_issuer_with_a_terminals_escapes_is_shown_escaped(tmp_path: Path) -> None:
    odd = make_ca("\x1b]0;owned\x07\u202e\x9b")
    (found,) = load(tmp_path, make_crl(issuer=odd)).find_problems([CA.certificate], now())
    assert found.message.isprintable()
    assert r"\x1b]0" in found.message


@given(data=st.data())
def test_a_crl_with_changed_bytes_is_read_or_refused_and_never_raises(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    # The signature is made anew: a hostile CA signs whatever it likes.
    lists = load(tmp_path_factory.getbasetemp(), bytes(content), resigned(bytes(content)))
    lists.find_problems([CA.certificate], now())
    status(lists)


def resigned(der: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec

    from support.der import ECDSA_SHA256, content_of, encode

    body = content_of(der)
    length = int.from_bytes(body[2:4], "big") + 4 if body[1] == 0x82 else body[1] + 2
    signature = CA.key.sign(body[:length], ec.ECDSA(hashes.SHA256()))  # type: ignore[call-arg, arg-type]
    return encode(0x30, body[:length] + ECDSA_SHA256 + encode(0x03, b"\0" + signature))


GOOD = make_crl(SERIAL, 7, 8, number=3, reason=x509.ReasonFlags.key_compromise)


def test_a_lookup_among_many_does_not_search(tmp_path: Path) -> None:
    """Not a measurement (that is scripts/bench): a search of 20,000 entries at each miss would take half a minute."""
    lists = load(tmp_path, make_crl(*range(1, 20_001)))
    sha256 = certificate_sha256(CA.certificate)
    begun = time.process_time()
    for _ in range(20_000):
        lists.status_of(LEAF.certificate, CA.certificate, sha256, now())
    assert time.process_time() - begun < 5.0
