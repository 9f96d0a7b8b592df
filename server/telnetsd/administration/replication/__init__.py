"""What nodes of a fleet tell each other about changes: signed messages, and who may send which."""
