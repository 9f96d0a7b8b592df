"""Users and their credentials: certificates, pins, and why a certificate identifies a user."""
