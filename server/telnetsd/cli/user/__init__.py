"""telnetsd user: add, list, change, renew, revoke, explain."""
