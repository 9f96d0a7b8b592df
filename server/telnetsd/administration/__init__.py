"""What an operator does to an installation: create it, load it, check it, add users."""
