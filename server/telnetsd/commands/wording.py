"""The format of values that both commands and the command line show."""


def duration(seconds: int | None) -> str:
    """A short duration, as in 59s, 12m, 5h, 3d; `?` if it is not known."""
    if seconds is None:
        return "?"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
