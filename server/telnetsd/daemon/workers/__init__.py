"""Several processes that serve as one server: the supervisor, the forker, and the workers."""
