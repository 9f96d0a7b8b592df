"""Which files of a home folder all nodes of a fleet share: certificates and CRLs of CAs, never a private key."""

from pathlib import PurePosixPath
from typing import Final

_SHARED: Final = frozenset({"certs/ca.pem", "certs/issuing.pem", "certs/server-ca.pem"})
_SHARED_FOLDERS: Final = frozenset({"certs/previous", "certs/trust", "certs/intermediates", "certs/crl"})
_PATH_MAX_CHARS: Final = 200


def is_shared(path: str) -> bool:
    """Tell whether nodes share the file at a path relative to the home folder.

    Only a path that could not be written in another way, and that is directly in one of the folders, is shared.
    """
    parts = PurePosixPath(path)
    if str(parts) != path or ".." in parts.parts or len(path) > _PATH_MAX_CHARS or not path.isprintable():
        return False
    is_in_folder = str(parts.parent) in _SHARED_FOLDERS and not parts.name.startswith(".")
    return path in _SHARED or (is_in_folder and parts.suffix != ".key")
