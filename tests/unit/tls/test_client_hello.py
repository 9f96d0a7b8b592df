"""What is read from a ClientHello before OpenSSL has it, whatever bytes a client sends."""

import contextlib
import ssl

from hypothesis import given
from hypothesis import strategies as st

from telnetsd.tls.client_hello import ClientHello, read_client_hello


def hello(name: str | None, most: ssl.TLSVersion) -> bytes:
    """Return the first record of a real client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = most
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_the_hello_of_a_real_client_is_read() -> None:
    name = b"\0\x0e\0\0\x0bexample.org"
    assert read_client_hello(hello("example.org", ssl.TLSVersion.TLSv1_3)) == ClientHello(True, name)
    assert read_client_hello(hello("example.org", ssl.TLSVersion.TLSv1_2)) == ClientHello(False, name)
    assert read_client_hello(hello(None, ssl.TLSVersion.TLSv1_2)) == ClientHello(False, b"")


@given(st.binary(max_size=600))
def test_any_bytes_are_read_or_yield_none(data: bytes) -> None:
    read_client_hello(data)


@given(data=st.data())
def test_a_changed_or_cut_hello_is_read_or_yields_none(data: st.DataObject) -> None:
    record = bytearray(GOOD)
    for _ in range(data.draw(st.integers(0, 4))):
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    read_client_hello(bytes(record[: data.draw(st.integers(0, len(record)))]))


GOOD = hello("example.org", ssl.TLSVersion.TLSv1_3)
