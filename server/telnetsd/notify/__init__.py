"""Telling somebody about events at once: a program or a webhook, for the events that `[[notify]]` names."""
