"""CRLs (RFC 5280 sections 5 and 6.3): which of them count, what they say, and that none of them does harm."""

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
from telnetsd.events.reason import CrlProblem, RevocationReason
from telnetsd.pki import crl as crl_module
from telnetsd.pki.certificate import certificate_sha256
from telnetsd.pki.crl import CrlStatus, RevocationLists, load_revocation_lists
from telnetsd.pki.path import Signer

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


def signer(ca: Pair) -> Signer:
    return Signer(ca.certificate, certificate_sha256(ca.certificate))


def status(lists: RevocationLists, issuer: Pair = CA, at: datetime | None = None) -> CrlStatus:
    return lists.status_of(LEAF.certificate, [signer(issuer)], at or now())


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
        (make_crl(issuer=Pair(CA.certificate, OTHER.key)), CrlProblem.BAD_SIGNATURE),
        (make_crl(at=now() - 20 * DAY, until=now() - DAY), CrlProblem.EXPIRED),
        (make_crl(at=now() + DAY), CrlProblem.NOT_YET_VALID),
        (make_crl(extensions=((x509.DeltaCRLIndicator(1), True),)), CrlProblem.UNSUPPORTED),
        (make_crl(extensions=((x509.DeltaCRLIndicator(1), False),)), CrlProblem.UNSUPPORTED),
        (
            make_crl(
                extensions=((x509.IssuingDistributionPoint(None, None, False, False, None, True, False), False),)
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
def test_a_crl_that_does_not_count_is_reported_in_one_line(
    content: bytes, problem: CrlProblem, tmp_path: Path
) -> None:
    lists = load(tmp_path, content)
    (found,) = lists.find_problems([CA.certificate], now())
    assert found.problem is problem
    assert found.message.startswith("certs/crl/0.crl")
    assert found.message.isprintable()
    assert not status(lists).is_known


def test_a_crl_of_a_ca_that_may_not_sign_crls_does_not_count(tmp_path: Path) -> None:
    extensions = [ca_extensions()[0], (key_usage("key_cert_sign"), True)]
    mute = make_ca("Mute CA", extensions=extensions)
    lists = load(tmp_path, make_crl(SERIAL, issuer=mute))
    assert problems(lists, mute) == [CrlProblem.BAD_SIGNATURE]


def test_a_crl_of_a_ca_with_the_same_name_and_another_key_says_nothing_about_this_ca(tmp_path: Path) -> None:
    namesake = make_ca("CRL CA")
    lists = load(tmp_path, make_crl(SERIAL, issuer=namesake))
    assert status(lists) == CrlStatus(None, is_known=False)
    assert status(lists, namesake).revocation is not None
    assert problems(lists, CA, namesake) == []


def test_of_two_crls_the_newer_one_counts_whatever_their_file_names(tmp_path: Path) -> None:
    older, newer = make_crl(SERIAL, at=now() - 2 * DAY), make_crl(at=now() - DAY)
    for contents in ((older, newer), (newer, older)):
        assert status(load(tmp_path, *contents)) == CrlStatus(None, is_known=True)


def test_of_two_crls_of_the_same_time_the_higher_number_counts_and_of_equal_ones_both(tmp_path: Path) -> None:
    at = now() - DAY
    first, second = make_crl(at=at, number=1), make_crl(SERIAL, at=at, number=2)
    for contents in ((first, second), (second, first)):
        assert status(load(tmp_path, *contents)).revocation is not None
    twins = make_crl(at=at, number=2), second
    assert status(load(tmp_path, *twins)).revocation is not None


def test_a_crl_of_the_future_does_not_hide_the_current_one(tmp_path: Path) -> None:
    lists = load(tmp_path, make_crl(SERIAL), make_crl(at=now() + DAY))
    assert status(lists).revocation is not None
    assert status(lists).is_known
    assert status(lists, at=now() + 2 * DAY) == CrlStatus(None, is_known=True)


def test_a_certificate_revoked_by_an_expired_crl_stays_revoked(tmp_path: Path) -> None:
    found = status(load(tmp_path, make_crl(SERIAL, at=now() - 20 * DAY, until=now() - DAY)))
    assert found.revocation is not None
    assert not found.is_known


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(tmp_path, make_crl(SERIAL))
    monkeypatch.setattr(crl_module, "_parse", None)
    again = load_revocation_lists([(tmp_path / "0.crl", "certs/crl/0.crl")], first)
    assert again.lists[0].positions is first.lists[0].positions


def test_a_file_that_is_too_large_or_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crl_module, "CRL_MAX_BYTES", 10)
    with pytest.raises(OperatorError, match="is too large for a CRL"):
        load(tmp_path, make_crl(SERIAL))
    with pytest.raises(OperatorError, match="cannot read gone: No such file"):
        load_revocation_lists([(tmp_path / "gone", "gone")], RevocationLists())


def test_a_crl_of_an_unknown_ca_is_not_a_problem_and_its_issuer_is_shown_escaped(tmp_path: Path) -> None:
    odd = make_ca("\x1b]0;owned\x07\u202e\x9b")
    lists = load(tmp_path, make_crl(issuer=odd))
    assert problems(lists) == []
    (found,) = lists.find_unmatched([CA.certificate])
    assert found.problem is CrlProblem.UNKNOWN_ISSUER
    assert found.message.isprintable()
    assert r"\x1b]0" in found.message


@given(data=st.data())
def test_a_crl_with_changed_bytes_is_read_or_refused_and_never_raises(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    # The signature is made again, since a hostile CA signs anything.
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


def test_a_lookup_among_many_entries_does_not_search_them(tmp_path: Path) -> None:
    """This is not a measurement (scripts/bench): searching 20,000 entries at each miss would take half a minute."""
    lists = load(tmp_path, make_crl(*range(1, 20_001)))
    begun = time.process_time()
    for _ in range(20_000):
        lists.status_of(LEAF.certificate, [signer(CA)], now())
    assert time.process_time() - begun < 5.0


def pem_of(der: bytes) -> bytes:
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)


def test_every_crl_of_a_pem_file_counts_even_with_text_between_them(tmp_path: Path) -> None:
    parts = pem_of(make_crl(issuer=OTHER)), pem_of(make_crl(SERIAL))
    for content in (b"".join(parts), b"Fetched today\r\n" + parts[1] + b"and\n" + parts[0]):
        lists = load(tmp_path, content)
        assert len(lists.lists) == 2
        assert status(lists).revocation is not None
        assert problems(lists, CA, OTHER) == []


@pytest.mark.parametrize(
    "part",
    [
        b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
        b"-----BEGIN X509 CRL-----\n!!!!\n-----END X509 CRL-----\n",
        b"-----BEGIN X509 CRL-----\nMIIB\n",
        LEAF.certificate.public_bytes(Encoding.PEM),
    ],
)
def test_a_file_with_an_unreadable_part_is_reported_and_its_other_parts_count(part: bytes, tmp_path: Path) -> None:
    lists = load(tmp_path, pem_of(make_crl(SERIAL)) + part)
    (found,) = lists.find_problems([CA.certificate], now())
    assert found.problem is CrlProblem.UNREADABLE
    assert "part 2" in found.message
    assert status(lists).revocation is not None


def test_a_crl_with_an_unknown_critical_extension_of_an_entry_is_not_used(tmp_path: Path) -> None:
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(7)
        .revocation_date(now() - DAY)
        .add_extension(STRANGER, critical=True)
        .build()
    )
    builder = x509.CertificateRevocationListBuilder().issuer_name(CA.certificate.subject)
    builder = builder.last_update(now() - DAY).next_update(now() + DAY).add_revoked_certificate(entry)
    lists = load(tmp_path, builder.sign(CA.key, hashes.SHA256()).public_bytes(Encoding.DER))
    assert problems(lists) == [CrlProblem.UNSUPPORTED]
    assert not status(lists).is_known


def test_a_crl_that_names_its_distribution_point_covers_certificates_that_name_the_same_one_or_none(
    tmp_path: Path,
) -> None:
    def point(url: str) -> list[x509.GeneralName]:
        return [x509.UniformResourceIdentifier(url)]

    here, elsewhere = point("http://ca.example/1.crl"), point("http://ca.example/2.crl")
    place = x509.IssuingDistributionPoint(here, None, False, False, None, False, False)
    lists = load(tmp_path, make_crl(SERIAL, extensions=((place, True),)))
    assert status(lists).revocation is not None
    for names, is_covered in ((here, True), (elsewhere, False)):
        points = x509.CRLDistributionPoints([x509.DistributionPoint(names, None, None, None)])
        leaf = Recipe(extensions=[*Recipe().extensions, (points, False)]).signed_by(CA)
        found = lists.status_of(leaf.certificate, [signer(CA)], now())
        assert found.is_known is is_covered


def test_a_crl_for_user_certificates_says_nothing_about_a_ca(tmp_path: Path) -> None:
    users = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
    below = Recipe(extensions=ca_extensions()).signed_by(CA).certificate
    lists = load(tmp_path, make_crl(SERIAL, below.serial_number, extensions=((users, True),)))
    assert status(lists).revocation is not None
    assert not lists.status_of(below, [signer(CA)], now()).is_known


def test_a_crl_signed_by_another_key_of_the_same_ca_counts(tmp_path: Path) -> None:
    other_key = make_ca("CRL CA")
    lists = load(tmp_path, make_crl(SERIAL, issuer=other_key))
    assert lists.status_of(LEAF.certificate, [signer(CA), signer(other_key)], now()).revocation is not None


@pytest.mark.parametrize("is_newer", [True, False])
def test_a_crl_of_another_key_of_the_ca_cancels_no_revocation(is_newer: bool, tmp_path: Path) -> None:
    """A renewed CA publishes a CRL for each of its keys; neither replaces the other."""
    other_key = make_ca("CRL CA")
    later = now() - (DAY / 2 if is_newer else 2 * DAY)
    lists = load(tmp_path, make_crl(SERIAL, number=5), make_crl(issuer=other_key, at=later, number=6))
    found = lists.status_of(LEAF.certificate, [signer(CA), signer(other_key)], now())
    assert found.revocation is not None
    assert found.is_known


def test_a_crl_for_some_certificates_cancels_no_revocation_of_another_crl(tmp_path: Path) -> None:
    def place(number: int) -> tuple[tuple[x509.ExtensionType, bool], ...]:
        names = [x509.UniformResourceIdentifier(f"http://ca.example/{number}.crl")]
        return ((x509.IssuingDistributionPoint(names, None, False, False, None, False, False), True),)

    older = make_crl(SERIAL, at=now() - 2 * DAY, extensions=place(1))
    newer = make_crl(at=now() - DAY, extensions=place(2))
    assert status(load(tmp_path, older, newer)).revocation is not None
    assert status(load(tmp_path, make_crl(SERIAL, at=now() - 2 * DAY), newer)).revocation is not None


def test_a_distribution_point_for_some_reasons_does_not_give_the_full_status(tmp_path: Path) -> None:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier("http://ca.example/1.crl")]
    place = x509.IssuingDistributionPoint(names, None, False, False, None, False, False)
    point = x509.DistributionPoint(names, None, frozenset({x509.ReasonFlags.key_compromise}), None)
    leaf = Recipe(extensions=[*Recipe().extensions, (x509.CRLDistributionPoints([point]), False)]).signed_by(CA)
    lists = load(tmp_path, make_crl(extensions=((place, True),)))
    assert not lists.status_of(leaf.certificate, [signer(CA)], now()).is_known


def test_the_table_of_verified_issuers_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telnetsd.pki.crl._ISSUERS_MAX", 1)
    namesake = make_ca("CRL CA")
    lists = load(tmp_path, make_crl(SERIAL))
    for _ in range(2):
        assert status(lists).revocation is not None
        assert status(lists, namesake).revocation is None


def test_a_crl_with_a_weak_signature_does_not_count(tmp_path: Path) -> None:
    assert problems(load(tmp_path, make_crl(SERIAL, algorithm=hashes.SHA224()))) == [CrlProblem.BAD_SIGNATURE]


def test_a_crl_whose_signature_makes_the_library_raise_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = load(tmp_path, make_crl(SERIAL))
    monkeypatch.setattr("telnetsd.pki.crl.SUPPORTED_KINDS", None)  # isinstance() then raises
    assert problems(lists) == [CrlProblem.BAD_SIGNATURE]
