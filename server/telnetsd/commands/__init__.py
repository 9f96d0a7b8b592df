"""What a user can type: the table of commands with the one `authorise`, and the built-in commands."""
