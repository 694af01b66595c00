"""The settings of one storage, each with the place it was set."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import NoReturn

from svstorage.errors import SettingsError
from svstorage.settings import envfile, variables
from svstorage.settings.secret import MASK, Secret
from svstorage.settings.source import Setting, Source

_ARGUMENT = Source("argument")
_ENVIRONMENT = Source("environment")
_DEFAULT = Source("default")
_PLATFORM_DATA = Path("/supervisely/data")

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
_URL_PASSWORD = re.compile(r"(?<=://)[^/?#\s]*@")
_QUERY = re.compile(r"\?.*", re.DOTALL)


class Settings:
    """Variables with their values and sources; nothing in it can be changed.

    Sources, strongest first: explicit arguments, the process environment, the ``.env`` file.
    An empty value (``STORAGE_REGION=``) counts as not set, so that the next source is asked:
    compose files hand on variables that nobody set as empty ones.

    ``settings[name]`` gives the `Setting`; iterating gives the names of the variables that are
    set and known, or that begin with ``STORAGE_``. The accessors below serve any name.
    """

    __slots__ = ("_file_warnings", "_layers", "env_file")

    env_file: Path | None
    """The ``.env`` file that was read."""

    def __init__(
        self,
        layers: tuple[Mapping[str, Setting], ...],
        *,
        env_file: Path | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        object.__setattr__(self, "_layers", layers)
        object.__setattr__(self, "_file_warnings", warnings)
        object.__setattr__(self, "env_file", env_file)

    _layers: tuple[Mapping[str, Setting], ...]
    _file_warnings: tuple[str, ...]

    @classmethod
    def load(
        cls,
        env_file: str | PathLike[str] | None = None,
        overrides: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        """Reads the settings from arguments, environment and file.

        ``overrides`` has the variables' names (see `variables.from_keywords`); ``environ`` is
        the process environment unless given, and ``{}`` leaves the environment out. The file is
        ``env_file``, else the one that ``SVSTORAGE_ENV_FILE`` names, else the nearest ``.env``
        in the working directory or above it; none is fine.

        Raises `SettingsError` for a file that is named but missing, or that is malformed.
        """
        environment = dict(os.environ if environ is None else environ)
        path, named_by = _env_file(env_file, environment)
        file = envfile.read(path, named_by) if path else None
        return cls(
            (
                _layer(overrides or {}, _ARGUMENT),
                _layer(environment, _ENVIRONMENT),
                file.settings if file else {},
            ),
            env_file=path,
            warnings=file.warnings if file else (),
        )

    @classmethod
    def from_mapping(
        cls,
        values: Mapping[str, object],
        source: Source | Mapping[str, Source],
        *,
        warnings: tuple[str, ...] = (),
    ) -> Settings:
        """Settings from these values and nothing else, such as one entry of a links file.

        Keys are the variables' names, or the same in lower case without ``STORAGE_``
        (``access_key``); ``source`` may be one for all or one by key. Values may be text,
        numbers, true or false. Raises `SettingsError` for a value of another type.
        """
        settings: dict[str, Setting] = {}
        for key, value in values.items():
            where = source if isinstance(source, Source) else source[key]
            problem = None
            try:
                text = variables.value_text(value)
            except TypeError as exc:
                problem = str(exc)
            if problem:
                raise SettingsError(problem, variable=key, source=str(where))
            if text is not None:
                settings[_variable_name(key)] = Setting(text, where)
        return cls((settings,), warnings=warnings)

    # Lookups

    def text(self, name: str, default: str | None = None) -> str | None:
        """The value exactly as it was written, or ``default``."""
        setting = self._find(name)
        return default if setting is None else setting.value

    def required_text(self, name: str, mend: str | None = None) -> str:
        """The value; a `SettingsError` that says how to set it if it is not set."""
        setting = self._find(name)
        if setting is None:
            raise self.error(name, "it is not set", mend or self._how_to_set(name))
        return setting.value

    def secret(self, name: str) -> Secret | None:
        """The value as a `Secret`."""
        setting = self._find(name)
        return None if setting is None else Secret(setting.value)

    def boolean(self, name: str, default: bool) -> bool:
        """true/false, also 1/0, yes/no and on/off, in any case."""
        setting = self._find(name)
        if setting is None:
            return default
        word = setting.value.strip().lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise self.error(name, "the value is neither true nor false", "Write true or false")

    def port(self, name: str) -> int | None:
        """A TCP port, 1 to 65535."""
        setting = self._find(name)
        if setting is None:
            return None
        word = setting.value.strip()
        # Not by int() and its ValueError, which would carry the value along.
        if re.fullmatch(r"[0-9]{1,5}", word) and 1 <= int(word) <= 65535:
            return int(word)
        raise self.error(name, "the value is not a port", "Write a number from 1 to 65535")

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """One of the lower-case words of ``allowed``, written in any case."""
        setting = self._find(name)
        if setting is None:
            return default
        word = setting.value.strip().lower()
        if word in allowed:
            return word
        raise self.error(
            name, "the value is none of those allowed", f"Write one of: {', '.join(allowed)}"
        )

    def path(self, name: str) -> Path | None:
        """A path of this machine. ``~/`` is the home folder.

        A relative path that stands in a file is relative to the folder of that file, so that
        it means the same from every working directory.
        """
        setting = self._find(name)
        if setting is None:
            return None
        path = Path(setting.value)
        if path.parts[:1] == ("~",):
            path = path.expanduser()
        if setting.source.path is not None:
            path = Path(setting.source.path).parent / path
        return Path(os.path.abspath(path))

    def source(self, name: str) -> Source:
        """Where the value was set; kind ``default`` when it was not."""
        setting = self._find(name)
        return _DEFAULT if setting is None else setting.source

    def error(self, name: str, problem: str, mend: str | None = None) -> SettingsError:
        """An error about this variable that names its source. Raise what it returns.

        ``problem`` and ``mend`` must not hold the value of a secret.
        """
        setting = self._find(name)
        return SettingsError(
            problem,
            variable=name,
            source=None if setting is None else str(setting.source),
            mend=mend,
        )

    # What every command needs

    @property
    def provider_name(self) -> str:
        """``STORAGE_PROVIDER`` in lower case, ``http`` when not set."""
        return (self.text("STORAGE_PROVIDER") or "http").strip().lower()

    @property
    def data_path(self) -> Path:
        """The folder that holds ``storage/``, in which each local bucket is a folder."""
        path = self.path("DATA_PATH")
        if path is not None:
            return path
        if _PLATFORM_DATA.is_dir():
            return _PLATFORM_DATA
        from platformdirs import user_data_path

        return user_data_path("svstorage", appauthor=False)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is doubtful but no error: likely typos, a file that others may read …"""
        found = list(self._file_warnings)
        for name in sorted({name for layer in self._layers for name in layer}):
            meant = variables.likely_meant(name)
            if meant:
                found.append(f"{name} ({self._where(name)}) is unknown. Did you mean {meant}?")
        return tuple(found)

    def items(self) -> tuple[tuple[str, str, Source], ...]:
        """Name, value fit to be shown, and source: all known variables, then further ones.

        Secrets are ``***``; a variable that is not set shows its default in words.
        """
        shown = []
        for variable in variables.known():
            setting = self._find(variable.name)
            if setting is None:
                shown.append((variable.name, variable.default, _DEFAULT))
            else:
                shown.append((variable.name, mask(variable.name, setting.value), setting.source))
        for name in self:
            if variables.lookup(name) is None:
                setting = self[name]
                shown.append((name, mask(name, setting.value), setting.source))
        return tuple(shown)

    # The mapping

    def __getitem__(self, name: str) -> Setting:
        setting = self._find(name)
        if setting is None:
            raise KeyError(name)
        return setting

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def __iter__(self) -> Iterator[str]:
        names = {name for layer in self._layers for name in layer if _is_ours(name)}
        return iter(sorted(name for name in names if self._find(name) is not None))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<Settings provider={mask('', self.provider_name)} set: {', '.join(self)}>"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("Settings cannot be changed")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "Settings cannot be pickled, they may hold secrets: send the name of the settings "
            "file to the other process and load it there"
        )

    def _find(self, name: str) -> Setting | None:
        for layer in self._layers:
            setting = layer.get(name)
            if setting is not None and setting.value:
                _check_text(name, setting)
                return setting
        return None

    def _where(self, name: str) -> Source:
        return next(layer[name].source for layer in self._layers if name in layer)

    def _how_to_set(self, name: str) -> str:
        for layer in self._layers:
            for setting in layer.values():
                if setting.source.kind == "links":
                    return f"Add {name.removeprefix('STORAGE_').lower()} to this entry"
        file = Source("file", str(self.env_file)) if self.env_file else "a .env file"
        return f"Set {name} in the environment or in {file}"


def mask(name: str, value: str) -> str:
    """A value as it may be shown: a secret as ``***``, a URL without password and query."""
    if variables.is_secret(name):
        return MASK
    value = _URL_PASSWORD.sub(f"{MASK}@", value)
    return _QUERY.sub(f"?{MASK}", value) if "://" in value or "sig=" in value else value


def _env_file(
    named: str | PathLike[str] | None, environ: Mapping[str, str]
) -> tuple[Path | None, str | None]:
    """The file to read, and the variable that names it if one does."""
    if named is not None:
        if not os.fspath(named):
            raise SettingsError("the name of the settings file is empty", source="argument")
        return Path(named), None
    variable = "SVSTORAGE_ENV_FILE"
    if environ.get(variable):
        return Path(environ[variable]), variable
    try:
        start = Path.cwd()
    except OSError:  # the working directory was removed
        return None, None
    return envfile.find(start), None


def _layer(values: Mapping[str, str], source: Source) -> dict[str, Setting]:
    return {name: Setting(value, source) for name, value in values.items()}


def _variable_name(key: str) -> str:
    variable = variables.by_keyword(key)
    if variable is not None:
        return variable.name
    # A plugin's field that nobody registered still gets the name its parser will ask for.
    return key if key.isupper() else f"STORAGE_{key.upper()}"


def _is_ours(name: str) -> bool:
    return name.startswith("STORAGE_") or variables.lookup(name) is not None


def _check_text(name: str, setting: Setting) -> None:
    problem = None
    if "\0" in setting.value:
        problem = "there is a NUL character in the value"
    elif any("\ud800" <= character <= "\udfff" for character in setting.value):
        problem = "the value is not UTF-8 text"
    if problem:
        raise SettingsError(problem, variable=name, source=str(setting.source))
