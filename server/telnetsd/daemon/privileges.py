"""Give up root, after everything that only root may do."""

import os
import pwd

from telnetsd.errors import OperatorError
from telnetsd.files.home import Home


def require_owner(home: Home, user: str) -> None:
    """Require that root serves an installation as the user who owns it.

    Otherwise a user who may write the configuration would be root at the next start.

    Raises:
        OperatorError: The installation belongs to another user.
    """
    if os.geteuid() != 0:
        return
    owner, shown = home.root.stat().st_uid, home.root
    wanted = 0 if not user else _find(user).pw_uid
    if owner != wanted:
        remedy = "set [listener] user to its owner, or start the server as its owner"
        raise OperatorError(f"{shown} belongs to uid {owner}, and would be served as {user or 'root'}; {remedy}")


def become(user: str) -> None:
    """Become a user of this machine, permanently; do nothing if the process already runs as that user.

    Raises:
        OperatorError: There is no such user, or only root could become that user.
    """
    account = _find(user)
    if os.getresuid() == (account.pw_uid,) * 3:
        return
    if os.geteuid() != 0:
        raise OperatorError(f"only root can become {user!r}; start the server as root or as {user}, or remove `user`")
    os.initgroups(user, account.pw_gid)
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    os.environ.update(HOME=account.pw_dir, USER=user, LOGNAME=user)


def _find(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        message = f"no user {user!r} on this machine, as named by [listener] user; run: useradd --system {user}"
        raise OperatorError(message) from None
