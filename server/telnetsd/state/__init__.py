"""The operator's state in SQLite: users, certificates, pins, revocations, enrolment requests."""
