"""The kinds of lines: how each kind of upstream is reached."""
