"""telnetsd recording: list, play, search, export, verify."""
