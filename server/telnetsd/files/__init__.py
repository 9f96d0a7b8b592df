"""The files of an installation: where they are, with which modes, and how they are written and locked."""
