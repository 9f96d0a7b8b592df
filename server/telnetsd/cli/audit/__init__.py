"""telnetsd audit: verify, read, search, export."""
