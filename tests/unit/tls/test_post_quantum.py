"""A client with an ML-DSA certificate and key over TLS; both ends use the OpenSSL of the cryptography wheel."""

import contextlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from OpenSSL import SSL

from support.certificates import Recipe, make_ca, name
from telnetsd.tls.engine import TlsEngine, make_server_context

KINDS = [mldsa.MLDSA44PrivateKey, mldsa.MLDSA65PrivateKey, mldsa.MLDSA87PrivateKey]
FLIGHTS_MAX = 10
CA = make_ca()
SERVER = Recipe(name("localhost")).signed_by(CA)


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_proves_that_it_has_an_ml_dsa_key(kind: type[mldsa.MLDSA65PrivateKey], tmp_path: Path) -> None:
    leaf = Recipe(name("quinn"), kind.generate()).signed_by(make_ca("Post-quantum CA", key=kind.generate()))
    _, key = leaf.save(tmp_path, "quinn")
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.use_certificate(leaf.certificate)
    # From its file: pyOpenSSL accepts no such key from its caller.
    context.use_privatekey_file(str(key))
    client = SSL.Connection(context, None)
    client.set_connect_state()
    engine = TlsEngine(make_server_context([SERVER.certificate], SERVER.key, (CA.certificate,)))  # type: ignore[arg-type]
    is_complete = False
    for _ in range(FLIGHTS_MAX):
        with contextlib.suppress(SSL.WantReadError):
            client.do_handshake()
        with contextlib.suppress(SSL.WantReadError):
            engine.receive(client.bio_read(2**20))
        while engine.has_records and not is_complete:
            is_complete = engine.do_handshake()
        answer = engine.take_outgoing()
        if answer:
            client.bio_write(answer)
    assert is_complete
    presented = engine.peer_certificate()
    assert presented is not None
    assert presented.leaf_der == leaf.der
