"""telnetsd: a telnet-over-TLS line server that names its users by their certificates."""

__version__ = "0.2.0"
