"""Many servers as one: the agent of a node, which is its only client of the engine, and what makes a fleet."""
