"""Giving up root, once what only root may do is done."""

import os
import pwd

from telnetsd.errors import OperatorError


def become(user: str) -> None:
    """Be a user of this machine from now on, for good; nothing where we are that user already.

    Raises:
        OperatorError: There is no such user, or only root could become them.
    """
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        message = f"no user {user!r} on this machine, who is that of [listener] user; run: useradd --system {user}"
        raise OperatorError(message) from None
    if os.getresuid() == (account.pw_uid,) * 3:
        return
    if os.geteuid() != 0:
        raise OperatorError(f"only root becomes {user!r}; start the server as root or as {user}, or take out `user`")
    os.initgroups(user, account.pw_gid)
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    os.environ.update(HOME=account.pw_dir, USER=user, LOGNAME=user)
