"""Telnet: the line discipline, and telnetlib3's protocol classes with the protection that the open internet needs."""

import logging

# telnetlib3's messages about a peer must not reach a terminal: the audit log reports these facts better.
logging.getLogger("telnetlib3").addHandler(logging.NullHandler())
logging.getLogger("telnetlib3").setLevel(logging.CRITICAL)
logging.getLogger("telnetlib3").propagate = False
