"""Identification of clients: the outcomes, the mapping of verified certificates to users, and the decision."""
