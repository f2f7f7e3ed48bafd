"""Every option misspelt, and set to what it cannot be: refused, the key named and what was meant, no value repeated."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from swit_saga_server.config import NOT_YET, ConfigError, SagaConfig
from swit_saga_server.config.names import Path as Keys
from swit_saga_server.config.names import options, variable
from swit_saga_server.config.sources import merged

SENTINEL = "s3cr3t-p4ssw0rd"
OPTIONS = [
    *options(SagaConfig),
    *(("participants", "shop", option) for option in ("address", "stream", "max_concurrent_steps")),
]
KNOWN = [path for path in OPTIONS if ".".join(path) not in NOT_YET]


def misspelt(key: str) -> dict[str, str]:
    """A key written wrong by one letter, in every way there is, and in two ways more."""
    middle = len(key) // 2
    swapped = key[: middle - 1] + key[middle] + key[middle - 1] + key[middle + 1 :]
    made = {
        "a letter less": key[:middle] + key[middle + 1 :],
        "a letter twice": key[:middle] + key[middle] + key[middle:],
        "two swapped": swapped,
        "in another case": key.swapcase(),
        "with a prefix": f"x_{key}",
    }
    return {how: word for how, word in made.items() if word != key}


def nested(path: Keys, value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def said(file: Path, content: Any, variables: dict[str, str]) -> str:
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as refused:
        SagaConfig.load(file, variables=variables)
    assert SENTINEL not in str(refused.value)
    behind = (refused.value.__cause__, refused.value.__context__)
    assert behind == (None, None), "nothing that knows the value is behind it, for a traceback to show"
    return str(refused.value)


def every_misspelling() -> Iterator[tuple[str, Keys, Keys]]:
    """How, the path as it should be, the path as it is written; each part of a path in its turn."""
    for path in KNOWN:
        for at, key in enumerate(path):
            if path[0] == "participants" and at == 1:
                continue  # Its name is free.
            for how, word in misspelt(key).items():
                yield how, path, (*path[:at], word, *path[at + 1 :])


def test_in_the_file(tmp_path):
    count = 0
    for how, path, written in every_misspelling():
        found = said(tmp_path / "saga.yaml", nested(written, SENTINEL), {})
        wrong = next(i for i, (a, b) in enumerate(zip(path, written, strict=True)) if a != b)
        assert ".".join(written[: wrong + 1]) in found, how
        assert "there is no such option" in found
        if how != "with a prefix" and len(path[wrong]) > 2:
            assert f"did you mean {path[wrong]}?" in found, how
        count += 1
    assert count > 400


def test_in_the_environment(tmp_path):
    seen: set[str] = set()
    for how, path, written in every_misspelling():
        name = variable(written) if how != "in another case" else variable(path).replace(path[-1].upper(), path[-1])
        if name in seen:
            continue
        seen.add(name)
        found = said(tmp_path / "saga.yaml", {}, {name: SENTINEL if len(seen) % 2 else ""})
        assert f"{name}: there is no such option" in found, how
    assert len(seen) > 400


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SWIT_SAGA_COORDINATER__NAME", "SWIT_SAGA_COORDINATOR__NAME"),
        ("SWIT_SAGA_COORDINATOR_NAME", "SWIT_SAGA_COORDINATOR__NAME"),
        ("swit_saga_coordinator__name", "SWIT_SAGA_COORDINATOR__NAME"),
        ("Swit_Saga_Storage__Connection", "SWIT_SAGA_STORAGE__CONNECTION"),
        ("SWIT_SAGA_STORAGE__REDIS_PASSWORD", "SWIT_SAGA_STORAGE__REDIS__PASSWORD"),
        ("SWIT_SAGA_STORAGE__REDIS__PASSWRD", "SWIT_SAGA_STORAGE__REDIS__PASSWORD"),
        ("SWIT_SAGA_PARTICIPANTS__Payment__ADRESS", "SWIT_SAGA_PARTICIPANTS__Payment__ADDRESS"),
        ("SWIT_SAGA_PARTICIPANTS__pay__address", "SWIT_SAGA_PARTICIPANTS__pay__ADDRESS"),
        ("SWIT_SAGA_CONFG", "SWIT_SAGA_CONFIG"),
        ("SWIT_SAGA_ADRESS", "SWIT_SAGA_ADDRESS"),
        ("SWIT_SAGA_COORDINATOR", "such as SWIT_SAGA_COORDINATOR__NAME"),
        ("SWIT_SAGA_PARTICIPANTS", "SWIT_SAGA_PARTICIPANTS__NAME__ADDRESS"),
        ("SWIT_SAGA_PARTICIPANTS__PAY", "SWIT_SAGA_PARTICIPANTS__"),
        ("SWIT_SAGA_MONITORING__PORT", "monitoring does nothing yet"),
        ("SWIT_SAGA_STORAGE__POSTGRES__URL", "storage.postgres does nothing yet"),
        ("SWIT_SAGA_ZZZZ", "docs/configuration.md"),
        ("SWIT_SAGA_", "no such option"),
        ("SWIT_SAGA_PORT", "no such option"),
    ],
)
def test_a_variable_that_is_no_option(tmp_path, name, meant):
    found = said(tmp_path / "saga.yaml", {}, {name: SENTINEL})
    assert name in found
    assert meant in found


WRONG: list[Any] = [SENTINEL + " \n", {"a": SENTINEL}, [SENTINEL], 1.5, True, -7, 10**30, float("nan"), None]
FREE_TEXT = ("key_prefix", "username", "password", "ca_file", "cert_file", "key_file", "connection")


@pytest.mark.parametrize("path", KNOWN, ids=".".join)
def test_a_value_of_a_wrong_type(tmp_path, path):
    """What a key can hold is told apart by its refusals; where one is refused, its key is named and not its value."""
    refused: list[ConfigError] = []
    fine: dict[str, Any] = {"storage": {"type": "redis"}, "participants": {"shop": {"address": "shop:1"}}}
    for value in WRONG:
        (tmp_path / "saga.yaml").write_text(yaml.safe_dump(merged(fine, nested(path, value))))
        try:
            SagaConfig.load(tmp_path / "saga.yaml", variables={})
        except ConfigError as wrong:
            refused.append(wrong)
    assert all(path[-1] in str(wrong) for wrong in refused)
    assert not any(SENTINEL in str(wrong) or wrong.__context__ for wrong in refused)
    assert len(refused) >= (5 if path[-1] in FREE_TEXT else 6), f"{len(refused)} of {len(WRONG)} refused"


@pytest.mark.parametrize("path", [p for p in KNOWN if p[-1] not in (*FREE_TEXT, "name")], ids=".".join)
def test_a_variable_of_a_wrong_value(tmp_path, path):
    for value in (SENTINEL, f" {SENTINEL}\n", "NaN", "1e400", "-1", "9" * 30, "\udcff"):
        found = said(tmp_path / "saga.yaml", {}, {variable(path): value})
        assert f"environment variable {variable(path)}: {'.'.join(path)}: " in found
