"""The audit log: what happened, in which words, in one chain of lines that cannot be changed unseen."""
