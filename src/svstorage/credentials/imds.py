"""Credentials of the role of an EC2 instance, from the instance metadata service (IMDS).

The protocol: EC2 user guide, "Use the Instance Metadata Service to access instance metadata"
and "Retrieve security credentials from instance metadata".
"""

from __future__ import annotations

import logging
import re
import time
from urllib.parse import quote, urlsplit

from svstorage.credentials import aws_answer, http, machine
from svstorage.credentials.base import AwsCredentials, Passed, RefreshingCredentials
from svstorage.credentials.resolve import is_named
from svstorage.credentials.s3_config import S3Access
from svstorage.errors import CredentialsError
from svstorage.settings import Settings

log = logging.getLogger(__name__)

NAME = "iam-role"
VARIABLE = "STORAGE_IAM_ROLE"
TOTAL_SECONDS = 10.0
"""However the service behaves, an answer or an error is there by then."""

_ENDPOINT = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
_DISABLED = "AWS_EC2_METADATA_DISABLED"
_IPV4 = "http://169.254.169.254"
_IPV6 = "http://[fd00:ec2::254]"
_TOKEN_PATH = "/latest/api/token"  # noqa: S105 - a path
_ROLE_PATH = "/latest/meta-data/iam/security-credentials/"
_TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 - a name
_TOKEN_SECONDS = 21600

# What IAM allows in a role's name (API reference, CreateRole); it becomes part of a path.
_ROLE = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)


def resolve(config: S3Access, settings: Settings) -> RefreshingCredentials[AwsCredentials] | Passed:
    """A source for the role ``STORAGE_IAM_ROLE``, or for the one attached to this instance
    where the resolver is named without a role.

    Raises `SettingsError` for a name that is no role's, or where the service is switched off.
    """
    role = config.iam_role
    if not role and not is_named(NAME, settings):
        return Passed(f"{VARIABLE} is not set")
    if role:
        _check_name(role, settings)
        if config.access_key or config.secret_key:
            log.warning(
                "%s is set beside STORAGE_ACCESS_KEY or STORAGE_SECRET_KEY: the role is used. "
                "Set STORAGE_CREDENTIALS=static to use the keys",
                VARIABLE,
            )
    endpoint = machine.variable(_ENDPOINT, settings)
    # An endpoint that somebody named for a role that somebody named is meant to be asked.
    if machine.switched_on(_DISABLED, settings) and not (role and endpoint):
        raise settings.error(
            _DISABLED,
            "it switches off the instance metadata service, which "
            + (VARIABLE if role else f"the resolver {NAME}")
            + " needs",
            f"Remove it, or give keys in place of {VARIABLE}",
        )
    service = InstanceMetadata(
        _base_url(endpoint, settings), allow_v1=settings.boolean("STORAGE_IMDS_V1", False)
    )
    return RefreshingCredentials(NAME, lambda: service.credentials(role))


def _check_name(role: str, settings: Settings) -> None:
    if role.startswith("arn:"):
        raise settings.error(
            VARIABLE,
            "this is an ARN, not the name of a role",
            "Write the name alone, the part after the last '/'. A role that is not attached to "
            "this instance can be assumed through a profile (STORAGE_CREDENTIALS=profile)",
        )
    if not _ROLE.fullmatch(role):
        raise settings.error(
            VARIABLE,
            "no role can have this name",
            "A name has 1 to 64 letters, digits and + = , . @ - _",
        )


def _base_url(endpoint: str | None, settings: Settings) -> str:
    if endpoint is None:
        mode = machine.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", settings) or ""
        return _IPV6 if mode.strip().lower() == "ipv6" else _IPV4
    problem = ""
    try:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            problem = "it is no http:// or https:// URL"
        elif parts.username or parts.query or parts.fragment or parts.port == 0:
            problem = "the URL has more than a host, a port and a path"
    except ValueError:
        problem = "it is no URL"
    if problem:
        raise settings.error(_ENDPOINT, problem, f"Write for example {_IPV4}")
    return endpoint.rstrip("/")


class InstanceMetadata:
    """One instance metadata service and our session with it.

    Calls must not overlap (`RefreshingCredentials` sees to that).
    """

    def __init__(self, base_url: str, *, allow_v1: bool = False) -> None:
        self._base_url = base_url
        self._allow_v1 = allow_v1
        self._token = ""
        self._token_ends = 0.0

    def __repr__(self) -> str:
        return f"<InstanceMetadata at {self._base_url}>"

    def credentials(self, role: str | None) -> AwsCredentials:
        """The present credentials of ``role``, or of the attached role where it is None.

        Raises `CredentialsError` naming the role and the mend.
        """
        deadline = time.monotonic() + TOTAL_SECONDS
        if role is None:
            attached = self._attached(deadline)
            if not attached:
                raise CredentialsError(
                    "no role is attached to this instance. Attach an instance profile, or set "
                    "STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY"
                )
            role = attached[0]
        who = f"{VARIABLE} '{role}'"
        answer = self._get(_ROLE_PATH + quote(role, safe=""), who, deadline)
        if answer.status == 404:
            raise CredentialsError(f"{who}: {self._what_is_attached(deadline)}")
        if answer.status != 200:
            raise CredentialsError(f"{who}: {self._name} answers {answer.status}")
        return aws_answer.require_future(aws_answer.parse(answer.text, who), who)

    @property
    def _name(self) -> str:
        return f"the instance metadata service at {self._base_url}"

    def _what_is_attached(self, deadline: float) -> str:
        attached = self._attached(deadline)
        if not attached:
            return (
                "no role is attached to this instance. Attach an instance profile with this "
                "role, or set STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY"
            )
        return (
            f"this role is not attached to this instance; attached is {', '.join(attached)}. "
            f"Set {VARIABLE} to that name, or attach the role"
        )

    def _attached(self, deadline: float) -> list[str]:
        answer = self._get(_ROLE_PATH, "the list of attached roles", deadline)
        if answer.status == 404:
            return []
        if answer.status != 200:
            raise CredentialsError(
                f"the list of attached roles: {self._name} answers {answer.status}"
            )
        return [line for line in answer.text.split() if _ROLE.fullmatch(line)]

    def _get(self, path: str, who: str, deadline: float) -> http.Answer:
        answer = self._request("GET", path, self._session(who, deadline), who, deadline)
        if answer.status == 401 and self._token:
            # The session has ended before its time (a restarted service): one more.
            self._token_ends = 0.0
            answer = self._request("GET", path, self._session(who, deadline), who, deadline)
        if answer.status == 401:
            raise CredentialsError(
                f"{who}: {self._name} answers 401, also with a new session token"
                if self._token
                else f"{who}: {self._name} takes no requests of version 1 (401)"
            )
        return answer

    def _session(self, who: str, deadline: float) -> dict[str, str]:
        """The header of an IMDSv2 session, begun anew where it has ended; none for version 1."""
        if not self._token or time.monotonic() >= self._token_ends:
            self._token = ""
            answer = self._request(
                "PUT",
                _TOKEN_PATH,
                {f"{_TOKEN_HEADER}-ttl-seconds": str(_TOKEN_SECONDS)},
                who,
                deadline,
            )
            if answer.status in (403, 404, 405) and self._allow_v1:
                log.warning("%s: using version 1 of %s", who, self._name)
                return {}
            if answer.status in (404, 405):
                raise CredentialsError(
                    f"{who}: {self._name} does not offer version 2 ({answer.status}). Switch it "
                    "on (HttpTokens), or set STORAGE_IMDS_V1=true to use version 1"
                )
            if answer.status == 403:
                raise CredentialsError(
                    f"{who}: {self._name} refuses (403): it is switched off for this instance "
                    "or blocked by a firewall. Switch it on (HttpEndpoint), or set "
                    "STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY"
                )
            token = answer.text.strip()
            if answer.status != 200 or not token.isascii() or not token.isprintable() or not token:
                raise CredentialsError(
                    f"{who}: {self._name} gives no session token (answer {answer.status})"
                )
            self._token = token
            self._token_ends = time.monotonic() + _token_seconds(answer)
        return {_TOKEN_HEADER: self._token}

    def _request(
        self, method: str, path: str, headers: dict[str, str], who: str, deadline: float
    ) -> http.Answer:
        unreachable: http.Unreachable | None = None
        try:
            answer = http.request(method, self._base_url + path, headers=headers, deadline=deadline)
        except http.Unreachable as error:
            unreachable = error
        if unreachable is not None:
            if unreachable.timed_out:
                raise CredentialsError(
                    f"{who}: {self._name} does not answer in time. In a container, raise the "
                    "hop limit of the instance's metadata options to 2 "
                    "(HttpPutResponseHopLimit); outside of EC2 there is none: set "
                    "STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY"
                )
            raise CredentialsError(
                f"{who}: {self._name} cannot be reached ({unreachable}). Outside of EC2 there "
                "is none: set STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY"
            )
        if 300 <= answer.status < 400:
            raise CredentialsError(
                f"{who}: {self._name} answers with a redirect, which is not followed"
            )
        return answer


def _token_seconds(answer: http.Answer) -> float:
    """Seconds to go on using the session token: what was granted, less a minute."""
    for name, value in answer.headers.items():
        if name.lower() == f"{_TOKEN_HEADER}-ttl-seconds".lower() and value.strip().isdigit():
            return max(1.0, float(value) - 60)
    return _TOKEN_SECONDS - 60
