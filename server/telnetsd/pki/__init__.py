"""X.509: parsing what a peer presents, trust anchors, path validation, and the built-in CA. No I/O but files."""
