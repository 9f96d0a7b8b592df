"""Users, and what leads to them: certificates, pins, and why a certificate leads to whom."""
