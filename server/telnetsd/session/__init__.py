"""One session, greeting to goodbye: prompt, lines, clocks; and the registry of those that are open."""
