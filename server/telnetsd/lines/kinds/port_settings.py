"""How a serial port is set up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSettings:
    """The settings of a serial port; `dtr` and `rts` are set when it is opened, unless they are None."""

    device: str
    baud: int = 9600
    data_bits: int = 8
    parity: str = "N"
    stop_bits: float = 1.0
    flow: str = "none"
    dtr: bool | None = None
    rts: bool | None = None
    break_s: float = 0.25
