"""Which files of a home folder all nodes of a fleet share: certificates and CRLs of CAs, never a private key."""

from pathlib import Path, PurePosixPath
from typing import Final

from telnetsd.administration.replication.message import SharedFile

_SHARED: Final = frozenset({"certs/ca.pem", "certs/issuing.pem", "certs/server-ca.pem"})
_SHARED_FOLDERS: Final = frozenset({"certs/previous", "certs/trust", "certs/intermediates", "certs/crl"})
_PATH_MAX_CHARS: Final = 200


def shared_files_of(root: Path) -> list[SharedFile]:
    """Return the shared files below a home folder, sorted by path."""
    found = [root / path for path in _SHARED]
    found += [path for folder in _SHARED_FOLDERS for path in (root / folder).glob("*")]
    named = ((str(path.relative_to(root)), path) for path in sorted(found) if path.is_file())
    return [SharedFile(name, path.read_bytes()) for name, path in named if is_shared(name)]


def is_shared(path: str) -> bool:
    """Tell whether nodes share the file at a path relative to the home folder.

    Only a path that could not be written in another way, and that is directly in one of the folders, is shared.
    """
    parts = PurePosixPath(path)
    if str(parts) != path or ".." in parts.parts or len(path) > _PATH_MAX_CHARS or not path.isprintable():
        return False
    is_in_folder = str(parts.parent) in _SHARED_FOLDERS and not parts.name.startswith(".")
    return path in _SHARED or (is_in_folder and parts.suffix != ".key")
