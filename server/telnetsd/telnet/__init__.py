"""Telnet: the line discipline, and telnetlib3's protocol classes with what an open door to the internet needs."""

import logging

# What telnetlib3 has to say about a peer is not for anybody's terminal: the audit log says it better.
logging.getLogger("telnetlib3").addHandler(logging.NullHandler())
logging.getLogger("telnetlib3").setLevel(logging.CRITICAL)
logging.getLogger("telnetlib3").propagate = False
