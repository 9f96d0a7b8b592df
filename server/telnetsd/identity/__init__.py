"""Who is connected: the outcomes, the mapping of verified certificates to users, and the one that decides."""
