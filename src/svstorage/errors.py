"""Every error that svstorage raises on purpose, and the exit code each one leads to.

All of them derive from `StorageError`, so ``except svstorage.StorageError`` catches whatever
svstorage itself found wrong. Errors about one object also derive from the built-in error
that fsspec users expect (`FileNotFoundError`, `PermissionError`, `FileExistsError`).
"""

from __future__ import annotations


class StorageError(Exception):
    """Base of all svstorage errors. ``exit_code`` is what the command line ends with."""

    exit_code = 1


class UsageError(StorageError):
    """The request itself is wrong (bad address, contradicting options). Nothing was touched."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting is missing, malformed or contradictory.

    The message names the variable, where it was set, and the mend; never a secret value.
    """

    def __init__(
        self,
        problem: str,
        *,
        variable: str | None = None,
        source: str | None = None,
        mend: str | None = None,
    ) -> None:
        self.problem = problem
        self.variable = variable
        self.source = source
        self.mend = mend
        if variable is None:  # about a file as a whole, or one line of it
            head = f"{source}: {problem}" if source else problem
        else:
            head = f"{variable}: {problem}{f' (from {source})' if source else ''}"
        super().__init__(f"{head}. {mend}" if mend else head)


class PluginError(StorageError):
    """A plugin is missing, broken, or clashes with another by name."""

    exit_code = 2


class ConnectionFailed(StorageError):
    """The storage cannot be reached: name, route, port, TLS or no answer in time."""

    exit_code = 3


class AccessRefused(StorageError, PermissionError):
    """The storage refuses the credentials, or they do not allow this operation."""

    exit_code = 3


class CredentialsError(AccessRefused):
    """No credentials could be had, or a refresh was refused."""


class ObjectError(StorageError):
    """Base of errors about one bucket or object; never a reason to stop a whole copy."""


class ObjectNotFound(ObjectError, FileNotFoundError):
    """No object of that key, or no bucket of that name."""


class BucketNotFound(ObjectNotFound):
    """No bucket of that name."""


class ObjectExists(ObjectError, FileExistsError):
    """The object or bucket is there already and must not be replaced."""


class KeyNotSupported(ObjectError, ValueError):
    """The service cannot hold this key under exactly this name."""


class ObjectChanged(ObjectError):
    """The object is no longer the version that was listed or first read."""


class ChecksumMismatch(ObjectError):
    """The bytes that arrived are not the bytes that were read."""


class Throttled(ObjectError):
    """The service asks to slow down (429, 503 SlowDown). ``retry_after`` is in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ServiceError(ObjectError):
    """The service answered an error of its own (5xx, malformed answer); worth a retry."""


class CredentialsExpired(ObjectError, PermissionError):
    """The service says that the credentials sent have expired; refresh once and retry."""


class NotSupported(StorageError, NotImplementedError):
    """This provider has no such operation."""

    exit_code = 2


class ListingError(StorageError):
    """A listing came out of order, twice or unfinished: what follows cannot be trusted."""


class Interrupted(StorageError):
    """Stopped by a signal; what is done stays done and a re-run goes on."""

    exit_code = 130
