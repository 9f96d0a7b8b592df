"""Requests for a certificate, from a client's command to the operator's decision, and renewal."""
