"""Compressing a file that is no longer written to, without a moment in which it is not there."""

import os
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

import zstandard

from telnetsd.audit.file import open_regular
from telnetsd.files.atomic import SECRET_FILE_MODE, sync_folder

ZSTD_SUFFIX: Final = ".zst"
UNFINISHED: Final = f".*{ZSTD_SUFFIX}.*.part"
"""The names of copies that are not complete."""
_CHUNK_BYTES: Final = 2**20


def compress(path: Path) -> Path:
    """Compress a file to a copy beside it; remove it once the copy has been read back and is the same.

    Raises:
        OSError: The file cannot be read, or the copy cannot be written; the file stays as it is.
    """
    target = path.with_name(path.name + ZSTD_SUFFIX)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with open_regular(path) as source, os.fdopen(os.open(unfinished, flags, SECRET_FILE_MODE), "w+b") as copy:
        zstandard.ZstdCompressor().copy_stream(source, copy)
        copy.flush()
        os.fsync(copy.fileno())
        source.seek(0)
        copy.seek(0)
        reader = zstandard.ZstdDecompressor().stream_reader(copy, closefd=False)
        if _digest(reader) != _digest(source):
            raise OSError(None, "the compressed copy differs", str(unfinished))
        times = os.fstat(source.fileno())
    os.utime(unfinished, ns=(times.st_atime_ns, times.st_mtime_ns))
    unfinished.replace(target)
    sync_folder(path.parent)
    path.unlink()
    return target


def _digest(file: IO[bytes] | zstandard.ZstdDecompressionReader) -> bytes:
    digest = sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.digest()
