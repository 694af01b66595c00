"""From asyncssh's errors to ours, naming the object and what to do.

Version 3 of the protocol, which OpenSSH speaks, says ``Failure`` for most of what can go wrong
(draft-ietf-secsh-filexfer-02, section 7), so that the callers look closer where it matters.
"""

from __future__ import annotations

import asyncssh

from svstorage.errors import (
    AccessRefused,
    ConnectionFailed,
    CredentialsError,
    KeyNotSupported,
    NotSupported,
    ObjectError,
    ObjectNotFound,
    ServiceError,
    StorageError,
)

LOST = (
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
    asyncssh.ConnectionLost,
    asyncssh.ChannelOpenError,
    asyncssh.SFTPEOFError,
    ConnectionError,
    TimeoutError,
)
MISSING = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)


def failure(error: Exception, doing: str, key: str) -> StorageError:
    """Our error for ``error``, which happened while ``doing`` something to ``key``."""
    said = str(error).strip()
    text = f"{key!r}: cannot {doing}: "
    if isinstance(error, LOST):
        return ServiceError(text + f"the connection was lost ({said or type(error).__name__})")
    if isinstance(error, MISSING):
        return ObjectNotFound(text + "it is not there")
    if isinstance(error, (asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect)):
        return AccessRefused(text + "the server does not allow it to this user")
    if isinstance(error, (asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded)):
        return ObjectError(text + "the disk of the server is full")
    if isinstance(error, (asyncssh.SFTPBadMessage, asyncssh.SFTPInvalidFilename)):
        # OpenSSH says so for names that its file system does not take (sftp-server.c,
        # errno_to_portable: EINVAL and ENAMETOOLONG).
        return KeyNotSupported(text + "the server does not accept the name")
    if isinstance(error, asyncssh.SFTPOpUnsupported):
        return NotSupported(text + f"the server has no such operation ({said})")
    if isinstance(error, asyncssh.DisconnectError):
        return ServiceError(text + said)
    return ObjectError(text + f"the server says: {said or type(error).__name__}")


def connect_failure(error: Exception, where: str, user: str) -> StorageError:
    """Our error for a connection that did not come about, other than by its host key."""
    said = str(error).strip() or type(error).__name__
    if isinstance(error, asyncssh.PermissionDenied):
        return CredentialsError(f"{where} refuses the user {user!r}: {said}")
    if isinstance(error, TimeoutError):
        said = "no answer in time"
    return ConnectionFailed(f"{where} cannot be reached: {said}")


def key_failure(error: Exception, *, agent: bool) -> CredentialsError:
    """Our error for a private key, or an agent, that cannot be used."""
    if agent:
        return CredentialsError(f"the ssh-agent cannot be used: {error}")
    return CredentialsError(
        f"the private key cannot be used: {error}. If it is encrypted, its passphrase goes to "
        "STORAGE_SFTP_PASSPHRASE"
    )
