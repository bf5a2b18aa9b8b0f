"""The user that the server runs as.

Owns how root's privileges are given up: for the user that was named, with the groups of that user and no others.
"""

import logging
import os
import pwd
import sys

log = logging.getLogger(__name__)


class PrivilegeError(RuntimeError):
    """The process cannot go on as that user; the text says why and what to do."""


def become_user(name: str | None) -> None:
    """Become another user for good, with its groups; without a name, stay the same. Raises PrivilegeError."""
    if name is None:
        _warn_of_root()
        return
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise PrivilegeError(f"there is no user {name}; make one, like: useradd --system {name}") from None
    if os.geteuid() == user.pw_uid:
        _warn_of_root()
        return
    try:
        # In this order: once the user is another one, the groups cannot be changed any more.
        os.initgroups(name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    except PermissionError:
        message = f"only root can go on as user {name}; start it as root, or without the setting user"
        raise PrivilegeError(message) from None
    log.info("going on as user %s", name)
    if not os.access(sys.executable, os.X_OK):
        # It would fail at the first load, with an error that nobody understands.
        raise PrivilegeError(
            f"user {name} cannot run {sys.executable}; install the program where all users can read it"
        )


def _warn_of_root() -> None:
    """Say so where the process stays root, whether or not that was asked for."""
    if os.geteuid() == 0:
        log.warning("running as root; name another user to go on as, with --user or the setting user")
