"""Noticing that somebody has changed the files of an installation."""

from collections.abc import Iterator
from pathlib import Path

from telnetsd.administration.material import is_crl_file
from telnetsd.home import Home

Signature = tuple[tuple[str, int, int, int], ...]
"""Name, time, size and inode of each file: another one means another content."""


def sign_files(home: Home) -> Signature:
    """Return what the files that a server loads look like now."""
    found = []
    for path in _files_of(home):
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)


def _files_of(home: Home) -> Iterator[Path]:
    yield from (home.config_file, home.ca_certificate, home.issuing_certificate)
    yield from (home.server_certificate, home.server_key)
    for folder in (home.trust_folder, home.previous_folder, home.intermediates_folder):
        yield from sorted(folder.glob("*.pem"))
    yield from (path for path in sorted(home.crl_folder.glob("*")) if is_crl_file(path))
