"""Sending events at once to programs and webhooks, as `[[notify]]` says."""
