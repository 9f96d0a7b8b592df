"""One connection, from the moment it is accepted to the last event about it."""
