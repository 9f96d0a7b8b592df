"""One session from greeting to goodbye (prompt, lines, clocks), and the registry of open sessions."""
