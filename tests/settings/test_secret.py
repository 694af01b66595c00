"""A secret shows itself to nobody who did not ask for it."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import traceback

import pytest

from svstorage.settings import Secret

CANARY = "canary-7f3a9c"


def test_no_text_form_shows_it() -> None:
    secret = Secret(CANARY)
    forms = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret:>40}",
        "{} {!r}".format(*[secret] * 2),
    ]
    forms += [ascii(secret), repr([secret]), repr({"key": secret})]
    assert all("***" in form and CANARY not in form for form in forms)
    assert secret.reveal() == CANARY


def test_a_log_and_a_traceback_show_stars(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(CANARY)
    logging.getLogger("svstorage").warning("key %s of %r", secret, {"a": secret})
    try:
        raise ValueError("bad key", secret)
    except ValueError:
        text = traceback.format_exc()
    assert "***" in text
    assert CANARY not in text + caplog.text


def test_equality_is_by_value_and_only_with_secrets() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret("\udcff") == Secret("\udcff")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert hash(Secret("a")) != hash(Secret("b"))
    assert hash(Secret("a")) != hash("a")


def test_truth_is_being_set() -> None:
    assert Secret("x")
    assert not Secret("")
    assert repr(Secret("")) == "***"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_is_refused_with_a_word(protocol: int) -> None:
    with pytest.raises(TypeError, match="Secret cannot be pickled") as caught:
        pickle.dumps({"config": Secret(CANARY)}, protocol)
    assert CANARY not in str(caught.value)


def test_copies_stay_secret() -> None:
    @dataclasses.dataclass(frozen=True)
    class Config:
        key: Secret

    config = Config(Secret(CANARY))
    for copied in (copy.copy(config.key), copy.deepcopy(config.key)):
        assert copied == config.key
        assert CANARY not in repr(copied)
    assert CANARY not in repr(dataclasses.asdict(config))
    with pytest.raises(TypeError):
        json.dumps(dataclasses.asdict(config))


def test_it_cannot_be_changed_or_made_of_something_else() -> None:
    secret = Secret("a")
    with pytest.raises(AttributeError):
        secret.value = "b"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        del secret._Secret__value  # type: ignore[attr-defined]
    with pytest.raises(TypeError) as caught:
        Secret(CANARY.encode())  # type: ignore[arg-type]
    assert CANARY not in str(caught.value)
