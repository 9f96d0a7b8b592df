"""One installation as a whole: made, changed, loaded, checked."""
