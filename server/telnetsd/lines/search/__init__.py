"""Finding what lines have shown: an index of the recordings, which can be rebuilt at any time, and the search."""
