"""One installation as a whole: created, changed, loaded, checked."""
