"""Recordings of lines: written, listed, played back."""
