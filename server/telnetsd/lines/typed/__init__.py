"""What was typed on a line, as its screen showed it: a screen, a reader of keys, and a tracker of commands. Pure."""
