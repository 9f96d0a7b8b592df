"""The certificate authority: its keys, what it issues, what it revokes, and which other CAs are trusted."""
