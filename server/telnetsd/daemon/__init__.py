"""The composition root: one running server, its generations of settings and trust, and what it watches."""
