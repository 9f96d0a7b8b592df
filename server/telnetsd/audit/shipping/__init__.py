"""Shipping the log to collectors: each has its own thread and its own position in the log, and delays nothing."""
