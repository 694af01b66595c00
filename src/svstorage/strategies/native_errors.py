"""obstore's exceptions as svstorage's.

Their texts can hold whole URLs (a SAS signature among them) and pages of debug output, so only
the status and the service's error code are taken over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore import exceptions as native

from svstorage.addresses import display
from svstorage.errors import (
    AccessRefused,
    ConnectionFailed,
    CredentialsExpired,
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    ServiceError,
    StorageError,
    Throttled,
)

_STATUS = re.compile(r"status code: (\d{3})|status: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,60})</Code>")
_EXPIRED = {
    "ExpiredAuthenticationToken",  # Azure
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
}


@contextmanager
def translated(operation: str, key: str) -> Iterator[None]:
    """Errors of obstore within come out as svstorage's."""
    try:
        yield
    except native.BaseError as error:
        raise translate(operation, key, error) from None
    except (TimeoutError, ConnectionError) as error:
        raise ConnectionFailed(
            f"{operation} {display(key)}: the connection failed ({type(error).__name__})"
        ) from None


def translate(operation: str, key: str, error: BaseException) -> StorageError:
    """What one of obstore's errors means to us; its text is not taken over."""
    text = str(error)
    match = _STATUS.search(text)
    status = int(match[1] or match[2]) if match else 0
    code = _CODE.search(text)
    told = " ".join(str(x) for x in (status or None, code[1] if code else None) if x)
    message = f"{operation} {display(key)}: {told or type(error).__name__}"
    if code and code[1] in _EXPIRED:
        return CredentialsExpired(message)
    if isinstance(error, native.PreconditionError):
        return ObjectChanged(f"{message}; it changed while it was copied")
    if isinstance(error, native.NotFoundError):
        return ObjectNotFound(message)
    if isinstance(error, (native.PermissionDeniedError, native.UnauthenticatedError)):
        return AccessRefused(f"{message}: refused; check the credentials and their rights")
    if status in (429, 503):
        return Throttled(message)
    if status == 409:
        return ServiceError(f"{message}: another operation on it is under way")
    if isinstance(error, native.AlreadyExistsError):
        return ObjectExists(message)
    if status >= 500:
        return ServiceError(message)
    if not status:
        return ConnectionFailed(f"{message}: the connection failed or was cut")
    return ServiceError(message)
