"""An address on which the server accepts connections."""

import msgspec

from telnetsd.config.settings import EndpointSettings, ListenerSettings


class Endpoint(msgspec.Struct, frozen=True):
    """One address, what it requires of clients, and the line that it leads to; empty for a prompt."""

    settings: EndpointSettings
    line: str = ""


def prompt_endpoints(listener: ListenerSettings, listen: str | None) -> list[Endpoint]:
    """Return the endpoints that lead to a prompt, the main one first; `listen` replaces its address."""
    listener = msgspec.structs.replace(listener, listen=listen or listener.listen)
    return [Endpoint(one) for one in listener.endpoints]
