"""Finding what lines have shown: an index of the recordings, which can be made anew at any time, and the search."""
