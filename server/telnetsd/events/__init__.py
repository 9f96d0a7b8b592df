"""The vocabulary of the audit log: reasons, fields, events, and the catalogue that says what each event has."""
