"""One connection, from the moment it is taken to the last event about it."""
