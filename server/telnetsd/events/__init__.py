"""The vocabulary of the audit log: reasons, fields, events, and the catalogue of what each event has."""
