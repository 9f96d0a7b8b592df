"""What an operator does to an installation: make it, load it, look it over, add users."""
