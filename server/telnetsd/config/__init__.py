"""The configuration: what `telnetsd.toml` may contain, and how errors in it are reported."""
