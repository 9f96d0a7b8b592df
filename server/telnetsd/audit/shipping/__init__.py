"""Getting the log to collectors: each has a thread and a place in the log of its own, and keeps nobody waiting."""
