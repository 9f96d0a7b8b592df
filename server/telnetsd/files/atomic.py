"""Writing files completely or not at all, with their final mode from the first byte on."""

import os
from pathlib import Path

SECRET_FILE_MODE = 0o600


SECRET_FOLDER_MODE = 0o700


PUBLIC_FILE_MODE = 0o644


def make_secret_folder(folder: Path) -> None:
    """Create `folder` (and its parents) so that no other user can access it, whatever the umask."""
    for parent in reversed(folder.parents):
        if not parent.exists():
            parent.mkdir(SECRET_FOLDER_MODE, exist_ok=True)
    folder.mkdir(SECRET_FOLDER_MODE, exist_ok=True)
    folder.chmod(SECRET_FOLDER_MODE)


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, completely or not at all.

    The content goes to a temporary file beside it, which has the final mode from the start. That file is synced, and
    then renamed.
    """
    _write_whole(path, content, SECRET_FILE_MODE)


def write_public(path: Path, content: bytes) -> None:
    """Write a file that all users may read, completely or not at all."""
    _write_whole(path, content, PUBLIC_FILE_MODE)


def _write_whole(path: Path, content: bytes, mode: int) -> None:
    """Write `content` to `path` with `mode`, so that a reader sees the old file or the new one, never a part."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def sync_folder(path: Path) -> None:
    """Sync a folder's entries to disk: a file that was created is still there after a crash."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def give_to_owner(path: Path, like: Path) -> None:
    """Give a file that root has made to the owner of another one, so that the server can use it."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
