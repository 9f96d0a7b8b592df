"""A fuzz target for atheris: changed certificates of real CAs, as a client presents them.

The first byte of an input selects the certificate of the public test vectors that is changed, and the second selects
what is presented beside it. If the rest does not begin with a slot and a value, it is the certificate. A failure is:
an exception from `identify`, `describe`, the event or `explain`; a text that could control a terminal; or an identity
that names a user.

    scripts/fuzz certificates [SECONDS]
"""

import itertools
import ssl
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["telnetsd"]):
    from support.certificates import Recipe, make_ca, now
    from support.server import all_leaves
    from support.vectors import ders_of, x509_files
    from telnetsd.administration.initialise import initialise
    from telnetsd.administration.installation.generation import load_generation
    from telnetsd.administration.users.explain import explain
    from telnetsd.audit.who import presented, who_is
    from telnetsd.events.part import to_fields
    from telnetsd.files.home import Home
    from telnetsd.identity.identify import Identifier
    from telnetsd.identity.outcome import NamedUser, Refusal
    from telnetsd.pki.certificate import PeerCertificate, describe_der
    from telnetsd.session.greeting import refuse
    from telnetsd.state.opening import open_store

EXPLAINED_EVERY: Final = 50
"""One in so many inputs is explained as well, since that loads the installation each time."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        initialise(home, ())
        ca = make_ca()
        (home.trust_folder / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(ca.der))
        vectors = [der for path in x509_files() for der in ders_of(path) if len(der) < 4096][:200]
        bases = [Recipe().signed_by(ca).der, ca.der, *vectors]
        generation, counter = load_generation(home), itertools.count()
        file = Path(folder) / "presented.pem"
        with closing(open_store(home)) as state:
            identifier = Identifier(generation.trust, generation.policy, state)

            def look(data: bytes) -> None:
                if len(data) < 2:
                    return
                peer = PeerCertificate(change(bases[data[0] % len(bases)], data[2:]), beside(data[1]))
                require_safe(identifier, peer)
                if next(counter) % EXPLAINED_EVERY == 0:
                    file.write_text("".join(map(ssl.DER_cert_to_PEM_cert, (peer.leaf_der, *peer.presented_der))))
                    explained = explain(home, file)
                    assert all(text.isprintable() for step in explained.steps for text in (step.what, step.found))

            def beside(number: int) -> tuple[bytes, ...]:
                return (ca.der,) if number % 3 == 1 else (bases[number % len(bases)],) if number % 3 else ()

            atheris.Setup(sys.argv, look)
            atheris.Fuzz()


def change(base: bytes, data: bytes) -> bytes:
    """Overwrite bytes: each change is the slot in two bytes, and a value."""
    if data[:1] == b"\x30":
        return data
    changed = bytearray(base)
    for start in range(0, len(data) - 2, 3):
        changed[int.from_bytes(data[start : start + 2], "big") % len(changed)] = data[start + 2]
    return bytes(changed)


def require_safe(identifier: "Identifier", peer: "PeerCertificate") -> None:
    describe_der(peer.leaf_der)
    identity = identifier.identify(peer, now())
    assert not isinstance(identity, NamedUser)
    texts = [*all_leaves(to_fields(*filter(None, (who_is(identity), presented(identity)))))]
    texts += refuse(identity) if isinstance(identity, Refusal) else []
    assert all(text.isprintable() for text in texts), texts


if __name__ == "__main__":
    main()
