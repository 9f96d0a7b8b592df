"""The operator's socket: command-line verbs ask the running server."""
