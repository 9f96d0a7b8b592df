"""TLS: the handshake proves that the client holds a key; `identity` decides who the client is."""
