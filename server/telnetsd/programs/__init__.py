"""The operator's programs: started, and ended with everything that they started."""
