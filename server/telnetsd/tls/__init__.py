"""TLS: the handshake proves that the client holds a key. Who that is, `identity` decides."""
