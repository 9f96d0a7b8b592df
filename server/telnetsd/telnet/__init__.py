"""Telnet (RFC 854): bytes to bounded lines, and telnetlib3's protocol with its doors closed."""
