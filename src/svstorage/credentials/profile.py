"""A profile of the shared AWS config and credentials files.

botocore reads it: keys, SSO, assumed roles and their chains follow rules that are its own. It is
imported when there is such a file, not before. A ``credential_process`` is a program to run, so
that it is used only where ``STORAGE_CREDENTIALS=profile`` says that this file is meant.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from svstorage.credentials.base import AwsCredentials, Passed, RefreshingCredentials
from svstorage.credentials.http import shown
from svstorage.credentials.resolve import is_named
from svstorage.credentials.s3_config import S3Access
from svstorage.errors import CredentialsError, SettingsError
from svstorage.settings import Secret, Settings

NAME = "profile"
_VARIABLES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
_FILES = (
    ("AWS_SHARED_CREDENTIALS_FILE", "credentials_file", "~/.aws/credentials"),
    ("AWS_CONFIG_FILE", "config_file", "~/.aws/config"),
)
# Of botocore's chain, the links that read a profile, each by its METHOD; not the environment
# and not the metadata services, which are resolvers of their own here.
_METHODS = frozenset(
    {
        "assume-role",
        "assume-role-with-web-identity",
        "sso",
        "login",
        "shared-credentials-file",
        "config-file",
    }
)
_PROCESS = "custom-process"
# A profile with none of these has settings only, such as a region.
_KEYS = frozenset(
    {
        "aws_access_key_id",
        "credential_process",
        "login_session",
        "role_arn",
        "sso_account_id",
        "sso_session",
        "sso_start_url",
    }
)


def resolve(config: S3Access, settings: Settings) -> RefreshingCredentials[AwsCredentials] | Passed:
    """A source for the profile ``AWS_PROFILE``, else for the default one.

    `Passed` where there is no such file or no default profile. Raises `SettingsError` where
    the named profile is missing, or runs a program that nobody has agreed to.
    """
    variable = next((name for name in _VARIABLES if settings.text(name)), None)
    name = (settings.text(variable) if variable else None) or "default"
    files = {key: _file(key_variable, default, settings) for key_variable, key, default in _FILES}
    if not any(path.is_file() for path in files.values()):
        if variable:
            raise settings.error(
                variable, "neither of the shared AWS files is there", f"Looked for {_list(files)}"
            )
        return Passed(f"there is neither {_list(files, ' nor ')}")
    loader = _Loader(name, files, run_programs=is_named(NAME, settings), region=config.region)
    try:
        profiles = loader.profiles()
    except CredentialsError as error:
        raise SettingsError(str(error), variable=variable) from None
    if name not in profiles:
        if variable:
            raise settings.error(
                variable, "there is no profile of this name", f"Looked in {_list(files)}"
            )
        return Passed(
            f"there is no default profile in {_list(files, ' or ')}; AWS_PROFILE names one"
        )
    if not loader.run_programs and _runs_program(name, profiles):
        if variable is None:
            return Passed(
                "the default profile runs a program (credential_process), which "
                "STORAGE_CREDENTIALS=profile would allow"
            )
        raise settings.error(
            variable,
            "this profile runs a program (credential_process)",
            "Set STORAGE_CREDENTIALS=profile to allow it",
        )
    if not _KEYS.intersection(profiles[name]):
        if variable or is_named(NAME, settings):
            raise settings.error(
                variable or _VARIABLES[0], f"the profile '{name}' holds no credentials"
            )
        return Passed("the default profile holds no credentials")
    return RefreshingCredentials(NAME, loader.credentials)


def _file(variable: str, default: str, settings: Settings) -> Path:
    return settings.path(variable) or Path(os.path.expanduser(default))


def _list(files: Mapping[str, Path], between: str = " and ") -> str:
    return between.join(str(path) for path in files.values())


def _runs_program(name: str, profiles: Mapping[str, Any]) -> bool:
    """True where the profile, or one that it takes its credentials from, names a program."""
    seen: set[str] = set()
    while name in profiles and name not in seen:
        seen.add(name)
        if "credential_process" in profiles[name]:
            return True
        name = profiles[name].get("source_profile", "")
    return False


class _Loader:
    """One profile, read anew each time, so that what another tool wrote since is seen."""

    def __init__(
        self, name: str, files: Mapping[str, Path], *, run_programs: bool, region: str | None
    ) -> None:
        self.name = name
        self.run_programs = run_programs
        self._files = files
        self._region = region

    def profiles(self) -> Mapping[str, Any]:
        """All profiles of both files, by name."""
        from botocore.exceptions import BotoCoreError

        problem = ""
        try:
            found: Mapping[str, Any] = self._session().full_config["profiles"]
        except (BotoCoreError, UnicodeDecodeError) as error:
            # Its text names the file; a parser's own could quote a line.
            problem = type(error).__name__
        if problem:
            raise CredentialsError(
                f"the shared AWS files ({_list(self._files)}) cannot be read: {problem}"
            )
        return found

    def credentials(self) -> AwsCredentials:
        """The profile's credentials of now. Raises `CredentialsError`."""
        from botocore.exceptions import BotoCoreError, ClientError

        problem = ""
        frozen = ends = None
        try:
            loaded = self._load()
            if loaded is not None:
                frozen = loaded.get_frozen_credentials()
                # The one place where botocore keeps it.
                ends = getattr(loaded, "_expiry_time", None)
        except (BotoCoreError, ClientError) as error:
            problem = shown(str(error), 500)
        except (OSError, ValueError) as error:  # a credential_process
            problem = type(error).__name__
        if problem:
            raise CredentialsError(f"profile '{self.name}': {problem}")
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise CredentialsError(f"profile '{self.name}' holds no credentials any more")
        token = Secret(frozen.token) if frozen.token else None
        return AwsCredentials(frozen.access_key, Secret(frozen.secret_key), token, ends)

    def _session(self) -> Any:
        import botocore.session

        session = botocore.session.Session(profile=self.name)
        for key, path in self._files.items():
            session.set_config_variable(key, str(path))
        if self._region:
            session.set_config_variable("region", self._region)
        return session

    def _load(self) -> Any:
        methods = _METHODS | {_PROCESS} if self.run_programs else _METHODS
        for link in self._session().get_component("credential_provider").providers:
            if link.METHOD in methods:
                loaded = link.load()
                if loaded is not None:
                    return loaded
        return None
