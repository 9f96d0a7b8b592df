"""The user's program: it connects to a server, and passes keys and screen."""
