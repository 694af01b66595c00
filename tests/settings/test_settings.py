"""Precedence, discovery, typed values, and what messages may say."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from svstorage.errors import PluginError, SettingsError, UsageError
from svstorage.settings import Secret, Settings, Source, Variable, variables

CANARY = "canary-7f3a9c"


def of(**values: str) -> Settings:
    return Settings.load(os.devnull, environ=values)


# Precedence and discovery


def test_arguments_win_over_environment_over_file(tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    file.write_text("A=file\nB=file\nC=file\n")
    settings = Settings.load(
        file, overrides={"A": "argument"}, environ={"A": "environment", "B": "environment"}
    )
    assert [settings.text(name) for name in "ABCD"] == ["argument", "environment", "file", None]
    assert [str(settings.source(name)) for name in "AB"] == ["argument", "environment"]
    assert settings.source("C") == Source("file", str(file), 3)
    assert settings.source("D").kind == "default"
    assert settings.env_file == file


def test_empty_is_not_set(tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    file.write_text("STORAGE_REGION=eu\nSTORAGE_PORT=\n")
    settings = Settings.load(file, overrides={"STORAGE_REGION": ""}, environ={"STORAGE_REGION": ""})
    assert settings.text("STORAGE_REGION") == "eu"
    assert settings.port("STORAGE_PORT") is None
    assert settings.text("STORAGE_PORT", "d") == "d"
    assert "STORAGE_PORT" not in settings
    assert list(settings) == ["STORAGE_REGION"]


def test_the_environment_of_the_process_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_REGION", "from-process")
    assert Settings.load().text("STORAGE_REGION") == "from-process"
    assert Settings.load(environ={}).text("STORAGE_REGION") is None


def test_the_nearest_env_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    (tmp_path / ".env").write_text("A=top\n")
    assert Settings.load(environ={}).text("A") == "top"
    (tmp_path / "a" / ".env").write_text("A=near\n")
    (deep / ".env").mkdir()  # a virtual environment of that name is no settings file
    settings = Settings.load(environ={})
    assert settings.text("A") == "near"
    assert str(settings.source("A")).endswith("a/.env line 1")
    named = tmp_path / "named.env"
    named.write_text("A=named\n")
    assert Settings.load(environ={"SVSTORAGE_ENV_FILE": str(named)}).text("A") == "named"
    other = tmp_path / "other.env"
    other.write_text("A=other\n")
    assert Settings.load(other, environ={"SVSTORAGE_ENV_FILE": str(named)}).text("A") == "other"


def test_a_file_in_the_working_directory_is_shown_relative() -> None:
    Path(".env").write_text("\n\n\nSTORAGE_PORT=x\n")
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ={}).port("STORAGE_PORT")
    assert "(from file .env line 4)" in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_foreign_file_above_is_not_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = tmp_path / "below"
    below.mkdir()
    planted = tmp_path / ".env"
    planted.write_text("STORAGE_ENDPOINT=http://attacker.example\n")
    os.chown(planted, 12345, 12345)
    monkeypatch.chdir(below)
    with pytest.raises(SettingsError, match="belongs to another user"):
        Settings.load(environ={})
    assert Settings.load(planted, environ={}).text("STORAGE_ENDPOINT")
    monkeypatch.chdir(tmp_path)
    assert Settings.load(environ={}).text("STORAGE_ENDPOINT")


def test_a_removed_working_directory_has_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert Settings.load(environ={"A": "1"}).text("A") == "1"


# Typed values


@pytest.mark.parametrize("word", ["true", "True", "1", "yes", "on", " TRUE "])
def test_true(word: str) -> None:
    assert of(STORAGE_USE_SSL=word).boolean("STORAGE_USE_SSL", False) is True


@pytest.mark.parametrize("word", ["false", "0", "No", "off"])
def test_false(word: str) -> None:
    assert of(STORAGE_USE_SSL=word).boolean("STORAGE_USE_SSL", True) is False


@pytest.mark.parametrize("word", ["ture", "22", "ja", CANARY])
def test_neither(word: str) -> None:
    with pytest.raises(SettingsError, match=r"^STORAGE_USE_SSL: .*\(from environment\)") as caught:
        of(STORAGE_USE_SSL=word).boolean("STORAGE_USE_SSL", True)
    assert word not in str(caught.value)


def test_ports() -> None:
    assert of(STORAGE_PORT=" 9000 ").port("STORAGE_PORT") == 9000
    assert of(STORAGE_PORT="65535").port("STORAGE_PORT") == 65535
    for bad in ("0", "65536", "abc", "-1", "80.0", "٨٠", "99999999999", "1_0", "²", CANARY):
        with pytest.raises(SettingsError, match="STORAGE_PORT: the value is not a port") as caught:
            of(STORAGE_PORT=bad).port("STORAGE_PORT")
        assert caught.value.__context__ is None


def test_choices() -> None:
    allowed = ("auto", "path", "virtual")
    name = "STORAGE_ADDRESSING_STYLE"
    assert of().choice(name, allowed, "auto") == "auto"
    assert of(**{name: "Path"}).choice(name, allowed, "auto") == "path"
    with pytest.raises(SettingsError, match="Write one of: auto, path, virtual"):
        of(**{name: CANARY}).choice(name, allowed, "auto")


def test_secrets_arrive_byte_for_byte(tmp_path: Path) -> None:
    value = "p$x a${HOME}b#c'\"\\=+/ "
    file = tmp_path / "x.env"
    file.write_text('STORAGE_SECRET_KEY="p\\$x a${HOME}b#c\'\\"\\\\=+/ "\n')
    for settings in (of(STORAGE_SECRET_KEY=value), Settings.load(file, environ={})):
        secret = settings.secret("STORAGE_SECRET_KEY")
        assert secret == Secret(value)
        assert settings.text("STORAGE_SECRET_KEY") == value
    assert of().secret("STORAGE_SECRET_KEY") is None


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "x.env").write_text("DATA_PATH=data\nSTORAGE_CA_BUNDLE=~/ca.pem\nABS=/a/b\n")
    settings = Settings.load(folder / "x.env", environ={"STORAGE_LINKS_FILE": "links.yml"})
    assert settings.data_path == folder / "data"
    assert settings.path("STORAGE_CA_BUNDLE") == Path.home() / "ca.pem"
    assert settings.path("ABS") == Path("/a/b")
    assert settings.path("STORAGE_LINKS_FILE") == Path.cwd() / "links.yml"
    assert settings.path("NONE") is None


def test_data_path_has_a_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from svstorage.settings import loaded

    monkeypatch.setattr(loaded, "_PLATFORM_DATA", tmp_path / "platform")
    assert of().data_path == Path.home() / ".local" / "share" / "svstorage"
    (tmp_path / "platform").mkdir()
    assert of().data_path == tmp_path / "platform"


def test_provider_name() -> None:
    assert of().provider_name == "http"
    assert of(STORAGE_PROVIDER=" MinIO ").provider_name == "minio"


def test_a_missing_variable_says_how_to_set_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        of().required_text("STORAGE_ACCESS_KEY")
    error = caught.value
    assert (error.variable, error.source) == ("STORAGE_ACCESS_KEY", None)
    assert "Set STORAGE_ACCESS_KEY in the environment or in" in str(error)
    with pytest.raises(SettingsError, match="Do this"):
        of().required_text("STORAGE_ACCESS_KEY", "Do this")
    entry = Settings.from_mapping({"provider": "minio"}, Source("links", "l.yml", 3))
    with pytest.raises(SettingsError, match="Add access_key to this entry"):
        entry.required_text("STORAGE_ACCESS_KEY")


def test_an_error_about_a_value_names_its_source() -> None:
    error = of(STORAGE_PORT="1").error("STORAGE_PORT", "it contradicts", "Drop it")
    assert isinstance(error, UsageError)
    assert str(error) == "STORAGE_PORT: it contradicts (from environment). Drop it"


@pytest.mark.parametrize("value", ["a\0b", "a\udcffb"])
def test_text_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"STORAGE_REGION: .*from environment"):
        of(STORAGE_REGION=value).text("STORAGE_REGION")


# Typos


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("STORAGE_ACCES_KEY", "STORAGE_ACCESS_KEY"),
        ("STORAGE_ACCESSKEY", "STORAGE_ACCESS_KEY"),
        ("STORAGE_SECRETKEY", "STORAGE_SECRET_KEY"),
        ("STORAGE_PROVDER", "STORAGE_PROVIDER"),
        ("STORAGE_ENDPIONT", "STORAGE_ENDPOINT"),
        ("STORAGE_BUCKET_PREFIX", "STORAGE_BUCKETS_PREFIX"),
        ("STORGE_PROVIDER", "STORAGE_PROVIDER"),
        ("storage_provider", "STORAGE_PROVIDER"),
        ("SVSTORAGE_ENVFILE", "SVSTORAGE_ENV_FILE"),
    ],
)
def test_likely_typos_are_warned_of_with_both_names(typo: str, meant: str) -> None:
    (warning,) = of(**{typo: CANARY}).warnings
    assert typo in warning
    assert f"Did you mean {meant}?" in warning
    assert "environment" in warning
    assert CANARY not in warning


@pytest.mark.parametrize(
    "name", ["STORAGE_CLASS", "STORAGE_FLAVOUR", "STORY", "HOME", "DATA_PATHS", "AWS_REGION"]
)
def test_other_variables_are_none_of_our_business(name: str) -> None:
    assert of(**{name: "x"}).warnings == ()


def test_known_variables_are_no_typos() -> None:
    assert of(**{variable.name: "x" for variable in variables.known()}).warnings == ()


def test_plugins_add_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variables, "_known", dict(variables._known))
    ours = Variable("STORAGE_SECRET_KEYS", "all of them", secret=True)
    settings = of(STORAGE_SECRET_KEYS=CANARY)
    assert settings.warnings
    variables.register(ours)
    variables.register(ours)
    assert settings.warnings == ()
    assert ("STORAGE_SECRET_KEYS", "***", Source("environment")) in settings.items()
    assert variables.from_keywords(secret_keys="x") == {"STORAGE_SECRET_KEYS": "x"}
    with pytest.raises(PluginError, match="STORAGE_SECRET_KEYS"):
        variables.register(Variable("STORAGE_SECRET_KEYS", "something else"))
    with pytest.raises(PluginError):
        variables.register(Variable("lower", "x"))


# Keywords and mappings


def test_keywords_become_variables() -> None:
    assert variables.from_keywords(
        provider="minio",
        port=9000,
        use_ssl=False,
        secret_key=Secret("s"),
        data_path=Path("/d"),
        region=None,
    ) == {
        "STORAGE_PROVIDER": "minio",
        "STORAGE_PORT": "9000",
        "STORAGE_USE_SSL": "false",
        "STORAGE_SECRET_KEY": "s",
        "DATA_PATH": "/d",
    }


def test_every_variable_of_a_storage_has_one_keyword() -> None:
    names = [v.keyword_name for v in variables.known() if v.keyword]
    assert len(names) == len(set(names))
    for variable in variables.known():
        found = variables.by_keyword(variable.keyword_name)
        assert found == (variable if variable.keyword else None)


@pytest.mark.parametrize(
    ("keyword", "hint"), [("acces_key", "access_key"), ("Provider", "provider"), ("xyzzy", "list")]
)
def test_an_unknown_keyword_is_an_error(keyword: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{keyword}: there is no such.*{hint}") as caught:
        variables.from_keywords(**{keyword: CANARY})
    assert CANARY not in str(caught.value)


def test_a_value_of_a_wrong_type_is_an_error() -> None:
    for bad in (b"bytes", 1.5, [CANARY], {CANARY: 1}):
        with pytest.raises(SettingsError, match=r"^secret_key: must be text") as caught:
            variables.from_keywords(secret_key=bad)
        assert CANARY not in str(caught.value)
        with pytest.raises(SettingsError, match=r"^secret_key: must be text"):
            Settings.from_mapping({"secret_key": bad}, Source("links", "x"))


def test_a_mapping_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_SECRET_KEY", "ambient")
    settings = Settings.from_mapping(
        {"provider": "minio", "port": 9000, "data_path": "/x", "acme_host": "h", "region": None},
        Source("links", "/links.yml", 7),
    )
    assert settings.secret("STORAGE_SECRET_KEY") is None
    assert settings.port("STORAGE_PORT") == 9000
    assert settings.text("STORAGE_ACME_HOST") == "h"
    assert settings.data_path == Path("/x")
    assert list(settings) == [
        "DATA_PATH",
        "STORAGE_ACME_HOST",
        "STORAGE_PORT",
        "STORAGE_PROVIDER",
    ]
    assert str(settings.source("STORAGE_PORT")).endswith("links.yml line 7")
    assert str(settings.source("STORAGE_PORT")).startswith("links file ")


# Leaks


def test_nothing_of_a_secret_gets_out(tmp_path: Path) -> None:
    file = tmp_path / "x.env"
    file.write_text(
        f"STORAGE_SECRET_KEY={CANARY}\nSTORAGE_SESSION_TOKEN={CANARY}\nSTORAGE_SAS_TOKEN={CANARY}\n"
        f"STORAGE_ENDPOINT=https://user:{CANARY}@host/x?sig={CANARY}\n"
        f"STORAGE_CONNECTION_STRING={CANARY}\nACME_API_KEY={CANARY}\nSTORAGE_PORT={CANARY}\n"
    )
    file.chmod(0o600)
    settings = Settings.load(
        file,
        overrides={"STORAGE_SECRET_KEY": CANARY},
        environ={"STORAGE_SECRET_KEY": CANARY, "DB_PASSWORD": CANARY},
    )
    shown = [(name, value) for name, value, _ in settings.items() if name != "STORAGE_PORT"]
    texts = [repr(settings), str(settings), repr(shown), repr(settings.warnings)]
    texts += [repr(settings["STORAGE_SECRET_KEY"]), repr(settings._layers)]
    texts += [str(settings.error(name, "bad")) for name in settings]
    for action in (
        lambda: settings.boolean("STORAGE_SECRET_KEY", True),
        lambda: settings.choice("STORAGE_SAS_TOKEN", ("a",), "a"),
        lambda: settings.port("STORAGE_PORT"),
        lambda: pickle.dumps(settings),
        lambda: pickle.dumps(settings["STORAGE_SECRET_KEY"]),
        lambda: copy.deepcopy(settings),
    ):
        with pytest.raises((SettingsError, TypeError)) as caught:
            action()
        texts.append(f"{caught.value!r} {caught.value.__context__!r}")
    assert not [text for text in texts if CANARY in text]
    assert ("STORAGE_ENDPOINT", "https://***@host/x?***") in shown
    assert ("STORAGE_SECRET_KEY", "***") in shown


def test_items_show_defaults_and_what_is_set() -> None:
    shown = {name: (value, str(source)) for name, value, source in of(STORAGE_PORT="9").items()}
    assert shown["STORAGE_PORT"] == ("9", "environment")
    assert shown["STORAGE_PROVIDER"] == ("http", "default")
    assert set(shown) >= {variable.name for variable in variables.known()}


def test_settings_cannot_be_changed() -> None:
    settings = of(STORAGE_PORT="1")
    with pytest.raises(AttributeError):
        settings.env_file = None
    with pytest.raises(KeyError):
        settings["NONE"]
    assert settings["STORAGE_PORT"].source == Source("environment")


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, svstorage.settings, svstorage.addresses, svstorage.links;"
        "heavy = {'fsspec','yaml','dotenv','platformdirs','s3fs','adlfs','botocore','azure'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
