"""An index of the rotated files of the audit log: it narrows what a search reads, and proves nothing."""
