"""The links file: every entry its own storage, every mistake named, nothing shown."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from svstorage.addresses import parse
from svstorage.errors import SettingsError, UsageError
from svstorage.links import Links
from svstorage.settings import Secret, Settings

CANARY = "canary-7f3a9c"

EXAMPLE = f"""\
my-car-datasets:
  provider: minio
  endpoint: s3.amazonaws.com
  port: 443
  access_key: 00123
  secret_key: {CANARY}
  region: no
  buckets: [cars_2020_20_10, cars_2020_10_10, 2020]
my-boats-datasets:
  provider: azure
  endpoint: https://account.blob.core.windows.net
  access_key: account
  secret_key: "?sv=2022&sig={CANARY}"
  buckets: [boats]
disk:
  provider: http
  path: data/sets
google-one:
  provider: google
  credentials_path: key.json
  buckets: [boats]
"""


def load(text: str | bytes, mode: int = 0o600) -> Links:
    file = Path("links.yml")
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(mode)
    return Links.load(file)


def error(text: str | bytes) -> str:
    with pytest.raises(SettingsError) as caught:
        load(text)
    exc: BaseException | None = caught.value
    carried = ""
    while exc is not None:
        carried += f"{exc!r} {exc} {vars(exc)}"
        exc = exc.__cause__ or exc.__context__
    assert CANARY not in carried
    return str(caught.value)


def test_the_example_of_the_platform() -> None:
    links = load(EXAMPLE)
    assert links.warnings == ()
    assert list(links.entries) == ["my-car-datasets", "my-boats-datasets", "disk", "google-one"]
    cars = links.named("my-car-datasets")
    assert cars.settings.provider_name == "minio"
    assert cars.settings.port("STORAGE_PORT") == 443
    assert cars.settings.text("STORAGE_ACCESS_KEY") == "00123"
    assert cars.settings.text("STORAGE_REGION") == "no"
    assert cars.settings.secret("STORAGE_SECRET_KEY") == Secret(CANARY)
    assert cars.buckets == ("cars_2020_20_10", "cars_2020_10_10", "2020")
    assert str(cars.settings.source("STORAGE_ACCESS_KEY")) == "links file links.yml line 5"
    google = links.named("google-one")
    assert google.settings.path("STORAGE_CREDENTIALS_PATH") == Path.cwd() / "key.json"
    assert links.entries["disk"].path == Path.cwd() / "data/sets"
    assert CANARY not in repr(links)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("s3://cars_2020_20_10/a//b", "my-car-datasets"),
        ("s3://2020/x", "my-car-datasets"),
        ("azure://boats/x", "my-boats-datasets"),
        ("google://boats/x", "google-one"),
        ("fs://disk/x", "disk"),
        ("sv://my-boats-datasets@any/x", "my-boats-datasets"),
        ("s3://boats/x", None),
        ("s3://unknown/x", None),
        ("gs://boats/x", None),
        ("sv://boats/x", None),
        ("./x", None),
        ("public:x", None),
    ],
)
def test_addresses_find_their_entry(text: str, name: str | None) -> None:
    found = load(EXAMPLE).find(parse(text))
    assert (found.name if found else None) == name


def test_unknown_names_are_errors() -> None:
    links = load(EXAMPLE)
    with pytest.raises(UsageError, match=r"Did you mean my-car-datasets\?"):
        links.find(parse("sv://my-car-dataset@b/k"))
    with pytest.raises(UsageError, match="no storage other"):
        links.find(parse("fs://other/k"))
    with pytest.raises(UsageError, match="no local folder"):
        links.find(parse("fs://my-car-datasets/k"))
    with pytest.raises(UsageError, match="STORAGE_LINKS_FILE"):
        Links().find(parse("sv://x@b/k"))


def test_a_folder_has_no_buckets_unless_it_has_a_data_path() -> None:
    links = load("a: {provider: http, path: /d}\nb: {provider: local, path: /d, data_path: /e}\n")
    with pytest.raises(UsageError, match="fs://a/path"):
        links.find(parse("sv://a@bucket/k"))
    found = links.find(parse("sv://b@bucket/k"))
    assert found is not None
    assert found.settings.data_path == Path("/e")
    assert links.find(parse("fs://b/k")) == found


def test_a_path_of_a_folder_stays_in_it() -> None:
    link = load("a: {provider: http, path: /d}").find(parse("fs://a/x"))
    assert link is not None
    keys = ["", "x", "x/", "x/y", "..x", " "]
    paths = ["/d/", "/d/x", "/d/x/", "/d/x/y", "/d/..x", "/d/ "]
    assert [link.local_path(key) for key in keys] == paths
    for key in ("/etc/passwd", "..", "../x", "x/../../y", "x//y", "./x", "x/.", "/", "x//"):
        with pytest.raises(UsageError, match=r"^fs://a/"):
            link.local_path(key)
    with pytest.raises(UsageError, match="no local folder"):
        load("a: {provider: minio}").named("a").local_path("x")


def test_a_plugin_says_which_schemes_are_its_own() -> None:
    text = "one:\n  provider: acme\n  buckets: [b]\n"
    assert load(text).of_bucket("acme", "b")
    file = Path("links.yml")
    assert Links.load(file, {"acme": ("s3",)}).of_bucket("s3", "b")


def test_it_comes_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    load(EXAMPLE)
    Path(".env").write_text("STORAGE_LINKS_FILE=links.yml\n")
    below = Path("below")
    below.mkdir()
    monkeypatch.chdir(below)
    assert "disk" in Links.from_settings(Settings.load(environ={})).entries
    assert Links.from_settings(Settings.load(os.devnull, environ={})).entries == {}
    missing = Settings.load(os.devnull, environ={"STORAGE_LINKS_FILE": "none.yml"})
    with pytest.raises(SettingsError, match=r"STORAGE_LINKS_FILE: there is no such file.*none"):
        Links.from_settings(missing)


def test_an_entry_takes_nothing_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_SECRET_KEY", "ambient")
    monkeypatch.setenv("STORAGE_REGION", "ambient")
    settings = load("a: {provider: minio, buckets: [b]}").named("a").settings
    assert list(settings) == ["STORAGE_PROVIDER"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n", "{}"])
def test_an_empty_file_has_no_entries(text: str) -> None:
    assert load(text).entries == {}


@pytest.mark.parametrize(
    "value", ["1e3", "0x1F", "1_000", "yes", "2020-01-01", "0123", "1:30", "="]
)
def test_scalars_are_taken_as_written(value: str) -> None:
    settings = load(f"a:\n  provider: minio\n  secret_key: {value}\n").named("a").settings
    assert settings.text("STORAGE_SECRET_KEY") == value


def test_null_is_not_set() -> None:
    settings = load("a:\n  provider: minio\n  region:\n  port: ~\n  buckets:\n").named("a").settings
    assert list(settings) == ["STORAGE_PROVIDER"]


def test_merge_keys_share_fields() -> None:
    links = load(
        "base: &base\n  provider: minio\n  region: eu\n  endpoint: one\n"
        "a:\n  <<: *base\n  endpoint: two\nb:\n  <<: [{region: us}, *base]\n"
    )
    texts = {
        name: [link.settings.text(f"STORAGE_{key}") for key in ("REGION", "ENDPOINT")]
        for name, link in links.entries.items()
    }
    assert texts == {"base": ["eu", "one"], "a": ["eu", "two"], "b": ["us", "one"]}


GOOD = "good:\n  provider: minio\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"[{CANARY}]", r"mapping.*line 1"),
        (f"{CANARY}", r"mapping.*line 1"),
        (f"{GOOD}a: {CANARY}", r"^a: the entry is not a mapping.*line 3"),
        (f"{GOOD}a:\n  secret_key: {CANARY}\n", r"^a\.provider: it is not set.*line 3"),
        (f"{GOOD}good:\n  provider: {CANARY}", r"good is there twice, first on line 1.*line 3"),
        (
            f"{GOOD}  secret_key: {CANARY}\n  secret_key: x\n",
            r"^good: secret_key is there twice, first on line 3.*line 4",
        ),
        (f"{GOOD}  secret_key: [{CANARY}]", r"^good\.secret_key: it is not a single value.*line 3"),
        (f"{GOOD}  secret_key: !x {CANARY}", r"^good\.secret_key: tags.*line 3"),
        (f"{GOOD}  secret_key: !!binary {CANARY}", r"^good\.secret_key: tags.*line 3"),
        (f"{GOOD}  region: !!python/object/apply:os.getcwd []", r"^good\.region: .*line 3"),
        (f"{GOOD}  buckets: {CANARY}", r"^good\.buckets: it is not a list.*line 3"),
        (f"{GOOD}  buckets: [a, {{x: {CANARY}}}]", r"^good\.buckets: .*single.*line 3"),
        (f"{GOOD}  buckets: [a/b]", r"^good\.buckets: .*line 3"),
        (f"{GOOD}  buckets:\n  - a\n  - a\n", r"^good\.buckets: a is listed twice.*line 5"),
        (f"{GOOD}  ? [x]\n  : {CANARY}\n", r"^good: a name must be plain text.*line 3"),
        (f"{GOOD}  secret_key: '{CANARY}\n", r"no YAML.*line [34]"),
        (f"{GOOD}  secret_key: @{CANARY}\n", r"no YAML.*line 3"),
        (f"{GOOD}  secret_key: *{CANARY}\n", r"no YAML.*line 3"),
        (f"{GOOD}\tsecret_key: {CANARY}\n", r"no YAML.*line 3"),
        (f"{GOOD}---\na: {CANARY}\n", r"no YAML.*line 3"),
        (f"{GOOD}  secret_key: {CANARY}\x07\n", r"character.*line 3"),
        (f"{GOOD}  secret_key: {CANARY}\0\n", r"NUL.*line 3"),
        (f"{GOOD}  secret_key: caf\xe9{CANARY}\n".encode("latin-1"), r"UTF-8.*line 3"),
        (f"a@b:\n  provider: {CANARY}\n", r"cannot stand in an address.*line 1"),
        ("a: &a\n  provider: minio\n  <<: *a\n", r"^a: << leads back to itself.*line 1"),
        ("disk:\n  provider: http\n", r"^disk\.path: it is not set"),
        ("[" * 5000, "nested too deeply"),
        (
            f"{GOOD}  buckets: [b, c]\nother:\n  provider: s3\n  buckets: [c]\n",
            r"bucket c is listed by the entries good and other.*line 4",
        ),
    ],
)
def test_mistakes_are_named_with_file_line_and_entry(text: str | bytes, words: str) -> None:
    # What is about a line of the file begins with it, what is about a field ends with it.
    message = error(text)
    problem, _, line = words.partition(".*line")
    assert re.search(problem, message)
    assert re.search(f"links file links\\.yml{' line' + line if line else ''}", message)


def test_unknown_fields_get_a_hint() -> None:
    links = load("a:\n  provider: minio\n  acces_key: x\n  bucket: [b]\n".replace("[b]", "b"))
    first, second = links.warnings
    assert first == "a.acces_key (links file links.yml line 3) is unknown. Did you mean access_key?"
    assert "Did you mean buckets?" in second


@pytest.mark.parametrize("mode", [0o644, 0o640])
def test_a_readable_file_with_secrets_is_warned_of(mode: int) -> None:
    (warning,) = load(EXAMPLE, mode).warnings
    assert "links.yml" in warning
    assert "chmod 600" in warning
    assert load("a: {provider: minio}", mode).warnings == ()


def test_a_file_that_anyone_may_rewrite_is_refused() -> None:
    with pytest.raises(SettingsError, match="chmod 600"):
        load(EXAMPLE, 0o606)


def test_aliases_do_not_explode() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    began = time.monotonic()
    assert "mapping" in error("\n".join(lines))
    assert time.monotonic() - began < 5
