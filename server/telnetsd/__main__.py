"""Run the command line with `python -m telnetsd`."""

from telnetsd.cli import main

if __name__ == "__main__":
    main()
