"""Reads the JSON in which instance metadata and container services answer credentials."""

from __future__ import annotations

import json
from datetime import datetime, timezone

from svstorage.credentials.base import AwsCredentials
from svstorage.credentials.http import shown
from svstorage.errors import CredentialsError
from svstorage.settings import Secret


def parse(body: str, who: str) -> AwsCredentials:
    """``AccessKeyId``, ``SecretAccessKey``, ``Token`` and ``Expiration`` to a value.

    ``Code``, where there is one, must be ``Success`` (EC2 user guide, "Retrieve security
    credentials from instance metadata"). Raises `CredentialsError`, which begins with ``who``
    and never quotes the body.
    """
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise CredentialsError(f"{who}: the answer is not the JSON that it should be")
    code = answer.get("Code", "Success")
    if code != "Success":
        raise CredentialsError(
            f"{who}: the service answers {shown(str(code))!r}"
            + (f" ({shown(str(answer['Message']))})" if answer.get("Message") else "")
        )
    values = [answer.get(name) for name in ("AccessKeyId", "SecretAccessKey", "Token")]
    missing = [
        name
        for name, value in zip(
            ("AccessKeyId", "SecretAccessKey", "Token", "Expiration"),
            [*values, answer.get("Expiration")],
            strict=True,
        )
        if not isinstance(value, str) or not value
    ]
    if missing:
        raise CredentialsError(f"{who}: the answer has no {', '.join(missing)}")
    access_key, secret_key, token = (str(value) for value in values)
    ends = timestamp(str(answer["Expiration"]))
    if ends is None:
        raise CredentialsError(f"{who}: the answer's Expiration is no date")
    return AwsCredentials(access_key, Secret(secret_key), Secret(token), ends)


def timestamp(text: str) -> datetime | None:
    """An ISO 8601 time (UTC where it names no zone), or None where it is none."""
    try:
        # Python 3.10 takes no Z.
        found = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def require_future(credentials: AwsCredentials, who: str) -> AwsCredentials:
    """The same, or `CredentialsError` where they have ended already."""
    ends = credentials.expires_at
    if ends is not None and ends <= datetime.now(timezone.utc):
        raise CredentialsError(
            f"{who}: the credentials that the service answers ended at "
            f"{ends:%Y-%m-%d %H:%M:%S} UTC already. Check the clock of this machine, and with "
            "the clock right, whether the service can still renew them"
        )
    return credentials
