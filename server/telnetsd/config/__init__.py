"""The configuration: what `telnetsd.toml` may say, and what is wrong with one."""
