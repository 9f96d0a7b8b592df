"""Detecting changes to the files of an installation."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from telnetsd.administration.authority.authorities import built_in_authorities, crl_file
from telnetsd.administration.installation.generation import is_crl_file
from telnetsd.files.home import Home

FileStamps = tuple[tuple[str, int, int, int], ...]
"""Name, time, size and inode of each file: a different value means different content."""


def own_crl_files(home: Home) -> frozenset[Path]:
    """Return the paths of the built-in CAs' CRLs.

    Each revocation signs a new CRL. This changes nothing for a running server: it reads the state, not these files.

    Raises:
        OperatorError: The certificate of a built-in CA cannot be read.
    """
    return frozenset(crl_file(home, certificate) for certificate, _ in built_in_authorities(home))


def sign_files(home: Home, own_crls: frozenset[Path]) -> FileStamps:
    """Return the current signature of the files that a server loads, except for its own CRLs."""
    return sign(path for path in _files_of(home) if path not in own_crls)


def sign(paths: Iterable[Path]) -> FileStamps:
    """Return the current signature of the given files."""
    found = []
    for path in paths:
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
