"""The store in SQLite: one file, any number of processes (WAL)."""
