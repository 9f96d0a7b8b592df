"""Raw incoming connections: the sockets, the limits on admission, and the PROXY header before everything else."""
