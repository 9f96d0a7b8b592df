"""The composition root: one running server, its reloader of settings and trust, and what it watches."""
