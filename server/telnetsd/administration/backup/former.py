"""What a restore keeps of the installation that it moves aside: what is newer than the backup, and as trustworthy."""

import os
import shutil
from hashlib import sha256
from pathlib import Path

from telnetsd.administration.authority.authorities import OWN_CRL_PREFIX
from telnetsd.administration.backup.archive import Manifest
from telnetsd.audit.key import load_public_keys
from telnetsd.errors import OperatorError
from telnetsd.files.atomic import make_secret_folder, write_public, write_secret
from telnetsd.files.home import Home


def same_keys(home: Home, manifest: Manifest) -> dict[str, bytes]:
    """Return those private files of the former installation that the backup lists, but does not have."""
    there = {name: home.root / name for name in manifest.keys}
    contents = {name: path.read_bytes() for name, path in there.items() if path.is_file()}
    return {name: one for name, one in contents.items() if sha256(one).hexdigest() == manifest.keys[name]}


def keep_newer_audit_key(home: Home, staged: Home) -> None:
    """Keep the former installation's audit key, if it followed that of the backup."""
    try:
        former, restored = (load_public_keys(one.audit_public_keys).by_id.keys() for one in (home, staged))
    except OperatorError:
        return
    if restored <= former and home.audit_key.is_file():
        write_public(staged.audit_public_keys, home.audit_public_keys.read_bytes())
        write_secret(staged.audit_key, home.audit_key.read_bytes())


def keep_crls(home: Home, staged: Home) -> tuple[str, ...]:
    """Keep the former installation's CRLs of other CAs, which are newer; return the names of those that are not."""
    make_secret_folder(staged.crl_folder)
    for path in home.crl_folder.glob("*"):
        if path.is_file() and not path.name.startswith((".", OWN_CRL_PREFIX)):
            write_public(staged.crl_folder / path.name, path.read_bytes())
    others = {path.name for path in staged.crl_folder.glob("*") if not path.name.startswith(OWN_CRL_PREFIX)}
    return tuple(sorted(name for name in others if not (home.crl_folder / name).exists()))


def has_other_configuration(home: Home, staged: Home) -> bool:
    """Tell whether the former installation's configuration is another one than that of the backup."""
    former, restored = home.config_file, staged.config_file
    return former.exists() and (not restored.exists() or former.read_bytes() != restored.read_bytes())


def keep_evidence(home: Home, staged: Home, *, is_log_continued: bool) -> None:
    """Keep the former installation's recordings, and how far its log has been shipped, if that log is continued."""
    for folder in (home.recordings_folder, *([home.shipping_folder] if is_log_continued else [])):
        restored = staged.root / folder.relative_to(home.root)
        if folder.is_symlink():
            shutil.rmtree(restored, ignore_errors=True)
            restored.symlink_to(folder.readlink())
        elif folder.is_dir():
            # Links, not copies: nothing changes a recording that is closed.
            shutil.copytree(folder, restored, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)
    os.link(source, target)
