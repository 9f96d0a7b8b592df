"""The user's program: it connects to a server, and passes on keys and screen output."""
