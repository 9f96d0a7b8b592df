"""The audit log: what happened and the text that records it, in one chain of lines where any change is detected."""
