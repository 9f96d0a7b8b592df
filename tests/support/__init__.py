"""What the tests share: certificates of every kind, a running server, and clients."""
