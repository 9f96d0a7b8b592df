"""Noticing that somebody has changed the files of an installation."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from telnetsd.administration.authority.authorities import built_in_authorities, crl_file
from telnetsd.administration.installation.generation import is_crl_file
from telnetsd.files.home import Home

Signature = tuple[tuple[str, int, int, int], ...]
"""Name, time, size and inode of each file: another one means another content."""


def own_crl_files(home: Home) -> frozenset[Path]:
    """Return where the CRLs of the built-in CAs are.

    Each revocation signs one anew, and changes nothing for who serves: the state is asked, and not they.

    Raises:
        OperatorError: The certificate of one cannot be read.
    """
    return frozenset(crl_file(home, certificate) for certificate, _ in built_in_authorities(home))


def sign_files(home: Home, own_crls: frozenset[Path]) -> Signature:
    """Return what the files that a server loads look like now, but for its own CRLs."""
    return sign(path for path in _files_of(home) if path not in own_crls)


def sign(paths: Iterable[Path]) -> Signature:
    """Return what files look like now."""
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
