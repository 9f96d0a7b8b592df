"""Reading the audit log: following, selecting, verifying and exporting it."""
