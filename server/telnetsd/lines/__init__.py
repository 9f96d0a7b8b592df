"""Lines: named upstreams that a session can be connected to: TCP, TLS, telnet, a serial port, a program on a pty."""
