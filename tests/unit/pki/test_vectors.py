"""Every X.509 file of the public test vectors, as a client would present it: safe text, and never an exception."""

import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from support.certificates import now
from support.server import all_leaves
from support.vectors import X509_FOLDER, ders_of, x509_files
from telnetsd.administration.initialise import initialise
from telnetsd.administration.installation.generation import load_generation
from telnetsd.administration.users.explain import explain
from telnetsd.audit.who import CLAIMED_MAX_BYTES, presented, who_is
from telnetsd.events.part import to_fields
from telnetsd.files.home import Home
from telnetsd.identity.identify import Identifier
from telnetsd.identity.outcome import Guest, Identity, Refusal
from telnetsd.pki.certificate import PeerCertificate
from telnetsd.session.greeting import refuse
from telnetsd.state.opening import open_store


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(tmp_path_factory.mktemp("vectors"))
    initialise(made, ())
    return made


@pytest.fixture(scope="module")
def identifier(home: Home) -> Iterator[Identifier]:
    generation = load_generation(home)
    with closing(open_store(home)) as state:
        yield Identifier(generation.trust, generation.policy, state)


def require_safe(identity: Identity) -> None:
    """Require that an identity names no user, cannot control a terminal, and is of bounded size."""
    assert isinstance(identity, Guest | Refusal)
    fields = to_fields(*filter(None, (who_is(identity), presented(identity))))
    assert len(msgspec.json.encode(fields)) < 2 * CLAIMED_MAX_BYTES
    assert len(msgspec.json.encode(fields.get("tls", {}).get("client", {}))) <= CLAIMED_MAX_BYTES
    said = refuse(identity) if isinstance(identity, Refusal) else []
    assert all(text.isprintable() for text in (*all_leaves(fields), *said))


def test_the_vectors_are_installed() -> None:
    assert len(x509_files()) > 500


def test_every_certificate_of_the_vectors_names_no_user_and_yields_safe_text(identifier: Identifier) -> None:
    for path in x509_files():
        for der in ders_of(path):
            require_safe(identifier.identify(PeerCertificate(der), now()))


@pytest.mark.long
@pytest.mark.parametrize("path", x509_files(), ids=lambda path: str(path.relative_to(X509_FOLDER)))
def test_every_certificate_of_the_vectors_is_explained(path: Path, home: Home, tmp_path: Path) -> None:
    for der in ders_of(path):
        file = tmp_path / "presented.pem"
        file.write_text(ssl.DER_cert_to_PEM_cert(der))
        explained = explain(home, file)
        assert not explained.is_user
        assert all(text.isprintable() for step in explained.steps for text in (step.what, step.found))
        assert explained.outcome.isprintable()
