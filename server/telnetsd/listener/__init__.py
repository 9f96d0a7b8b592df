"""How raw connections come in: the sockets, the limits on who is taken, the PROXY header before everything else."""
