"""The configuration: what it takes, what it refuses and in which words, and that it is documented."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from swit_saga_server.config import NOT_YET, ConfigError, ParticipantConfig, SagaConfig
from swit_saga_server.core.retry import DEFAULT_COMPENSATION_RETRY, DEFAULT_RETRY, Backoff, Jitter, RetryPolicy
from swit_saga_server.core.units import MILLISECOND, MINUTE, SECOND
from swit_saga_server.engine.options import CacheOptions, CachePolicy

DOCUMENT = Path(__file__).parents[3] / "docs" / "configuration.md"
EVERYTHING = """
coordinator:
  name: one
  mode: orchestration
  default_timeout: 1h
  step_timeout: 1m30s
  default_retry_policy: {backoff: linear, initial_delay: 10ms, max_delay: 2s, max_attempts: 9, jitter: none}
  default_compensation_retry_policy: {backoff: fixed, multiplier: 3}
  max_payload_bytes: 1000
  max_definition_bytes: 2000
  cache: {enabled: false, ttl: 5s, max_size: 3, policy: fifo}
storage:
  type: sqlite
  connection: /tmp/x.db
logging: {level: debug, format: console}
server:
  listen: localhost:0
  reflection: false
  keepalive: {time: 1m}
participants:
  inventory: {address: "inventory:50052"}
"""


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    import os

    for name in [n for n in os.environ if n.startswith("SWIT_SAGA_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def load(tmp_path):
    def read(text: str, **overrides: Any) -> SagaConfig:
        file = tmp_path / "saga.yaml"
        file.write_text(text)
        return SagaConfig.load(file, overrides)

    return read


def test_everything(load):
    config = load(EVERYTHING)
    settings, options = config.settings(), config.engine_options()
    assert (settings.timeout, settings.step_timeout) == (60 * MINUTE, 90 * SECOND)
    assert settings.retry_policy == RetryPolicy(
        backoff=Backoff.LINEAR, initial_delay=10 * MILLISECOND, max_delay=2 * SECOND, max_attempts=9, jitter=Jitter.NONE
    )
    assert settings.compensation_retry_policy == replace(
        DEFAULT_COMPENSATION_RETRY, backoff=Backoff.FIXED, multiplier=3
    ), "what is left out keeps a compensation's patience"
    assert options.owner == "one"
    assert options.cache == CacheOptions(enabled=False, ttl=5 * SECOND, max_size=3, policy=CachePolicy.FIFO)
    assert (config.storage.connection, config.server.listen) == ("/tmp/x.db", "localhost:0")
    assert config.participants["inventory"].address == "inventory:50052"


@pytest.mark.parametrize("text", ["", "coordinator: {}"])
def test_defaults_are_the_cores(load, text):
    settings = load(text).settings()
    assert settings.retry_policy == DEFAULT_RETRY
    assert settings.compensation_retry_policy == DEFAULT_COMPENSATION_RETRY
    assert load(text).engine_options().cache == CacheOptions()


@pytest.mark.parametrize(("storage", "rounds"), [("sqlite", (256, 1)), ("redis", (64, 4))])
def test_rounds_are_as_suits_the_store(load, storage, rounds):
    options = load(f"storage: {{type: {storage}}}").engine_options()
    assert (options.round_size, options.rounds) == rounds


def test_the_environment_goes_before_the_file_and_the_command_line_before_both(load, monkeypatch):
    monkeypatch.setenv("SWIT_SAGA_COORDINATOR__STEP_TIMEOUT", "7s")
    monkeypatch.setenv("SWIT_SAGA_SERVER__LISTEN", "here:1")
    monkeypatch.setenv("SWIT_SAGA_PARTICIPANTS__PAYMENT__ADDRESS", "payment:1")
    config = load(EVERYTHING, server={"listen": "there:2"})
    assert config.coordinator.step_timeout == 7 * SECOND
    assert config.coordinator.default_timeout == 60 * MINUTE, "the rest of the section is still the file's"
    assert config.server.listen == "there:2"
    assert not config.server.reflection
    assert {n: p.address for n, p in config.participants.items()} == {
        "inventory": "inventory:50052",
        "payment": "payment:1",
    }


def test_a_variable_can_be_wrong_too(load, monkeypatch):
    monkeypatch.setenv("SWIT_SAGA_COORDINATOR__STEP_TIMEOUT", "soon")
    with pytest.raises(ConfigError, match=r"variable SWIT_SAGA_COORDINATOR__STEP_TIMEOUT: .* is not a duration"):
        load("")


@pytest.mark.parametrize("path", NOT_YET)
def test_what_does_nothing_yet_is_refused(load, path):
    section, _, key = path.partition(".")
    with pytest.raises(ConfigError, match=rf"{re.escape(path)} does nothing yet .*{NOT_YET[path][:8]}.*leave it out"):
        load(f"{section}: {{{key or 'x'}: 1}}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("coordinator: {step_timeout: 30}", r"coordinator.step_timeout: has no unit; write .* 30s"),
        ("coordinator: {step_timeout: 1:30}", r"coordinator.step_timeout: is not a duration"),
        ("coordinator: {step_timeout: 0s}", r"step_timeout must be greater than 0"),
        ("coordinator: {step_timeout: true}", r"coordinator.step_timeout: must be a duration"),
        ("coordinator: {mode: hybrid}", r"'hybrid' is not supported yet"),
        ("coordinator: {mode: anarchy}", r"coordinator.mode: must be 'orchestration', 'choreo"),
        ("coordinator: {cache: {policy: random}}", r"coordinator.cache.policy: "),
        ("coordinator: {cache: {max_size: 0}}", r"coordinator.cache.max_size: "),
        ("coordinator: {max_payload_bytes: 99999999}", r"coordinator.max_payload_bytes: "),
        (
            "coordinator: {default_retry_policy: {initial_delay: 5s, max_delay: 1s}}",
            r"max_delay must not be less than initial_delay",
        ),
        ("coordinator: {stp_timeout: 3s}", r"coordinator.stp_timeout: .*did you mean step_timeout\?"),
        ("coordinater: {}", r"coordinater: .*did you mean coordinator\?"),
        ("server: {keepalive: {tiem: 3s}}", r"server.keepalive.tiem: .*did you mean time\?"),
        ("storage: {type: postgres}", r"'postgres' is not supported yet; use 'sqlite' or 'redis'"),
        ("coordinator: {recovery_enabled: false}", r"no acknowledged saga may be left half-done"),
        ("coordinator: {recovery_interval: 10ms}", r"recovery_interval must be at least 1s"),
        ("coordinator: {retention_period: 0s}", r"retention_period must be greater than 0"),
        ("coordinator: {lease_term: 10ms}", r"lease_term must be at least 1s"),
        ("storage: {ttl: 0s}", r"ttl must be greater than 0"),
        ("storage: {key_prefix: x}", r"key_prefix does nothing with type 'sqlite'"),
        ("storage: {redis: {db: 1}}", r"redis does nothing with type 'sqlite'"),
        ("logging: {level: loud}", r"logging.level: must be 'debug', 'info'"),
        ("server: {reflection: maybe}", r"server.reflection: must be true or false"),
        ("participants: {shop: {adress: x}}", r"participants.shop.adress: .*did you mean address\?"),
        ("server: {zzz: 1}", r"server.zzz: .*known are listen, reflection"),
        ("participants: {shop: {}}", r"participants.shop.address: "),
        ("[1, 2]", r"must be a mapping of sections"),
        ("server: {}\nserver: {}", r"'server' comes twice"),
    ],
)
def test_refused_in_words(load, text, message):
    with pytest.raises(ConfigError, match=message):
        load(text)


def test_every_mistake_at_once(load):
    with pytest.raises(ConfigError) as refused:
        load("server: {listne: x}\nlogging: {level: loud}")
    assert "server.listne" in str(refused.value)
    assert "logging.level" in str(refused.value)
    assert "saga.yaml" in str(refused.value)


def test_a_file_that_is_not_there():
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: .*No such file"):
        SagaConfig.load("nowhere.yaml")


def test_the_specifications_sections_are_there():
    assert {"coordinator", "storage", "messaging", "monitoring", "security", "logging"} <= set(SagaConfig.model_fields)


def _options(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        if name == "participants":
            yield from (f"participants.NAME.{option}" for option in ParticipantConfig.model_fields)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _options(field.annotation, f"{path}.")
        else:
            yield path


def test_every_option_is_documented_with_its_variable_and_no_other():
    rows = dict(re.findall(r"^\| `([a-zA-Z_.]+)` \| `([A-Z_]+)` \|", DOCUMENT.read_text(), re.M))
    assert set(rows) == set(_options(SagaConfig)) - set(NOT_YET)
    for path, variable in rows.items():
        assert variable == "SWIT_SAGA_" + path.replace(".", "__").upper()


def test_what_is_to_come_is_documented_as_such():
    to_come = DOCUMENT.read_text().partition("## Still to come")[2]
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", to_come, re.M)) == set(NOT_YET)


def test_the_documents_defaults_are_the_defaults(load):
    text = DOCUMENT.read_text()
    found = re.findall(r"^\| `([a-zA-Z_.]+)` \| `[A-Z_]+` \| [^|]* \| `([^`]*)` \|", text, re.M)
    assert len(found) > 20
    default = load("")
    for path, written in found:
        section, *keys = path.split(".")
        nested: Any = written
        for key in reversed(keys):
            nested = {key: nested}
        assert SagaConfig.load(overrides={section: nested}) == default, path


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("{}", "redis://127.0.0.1:6379/0"),
        ("{address: 'r:1', db: 2, tls: true}", "rediss://r:1/2"),
        ("{username: u, password: 'p@/:'}", "redis://u:p%40%2F%3A@127.0.0.1:6379/0"),
    ],
)
def test_redis_is_reached_by_its_address(load, text, url):
    config = load(f"storage: {{type: redis, redis: {text}}}")
    assert config.storage.redis.url() == url
    assert "p@/:" not in repr(config)
    assert "@" not in config.storage.where


def test_the_shorter_of_both_retentions_counts(load):
    assert load("").engine_options().retention is None
    assert load("coordinator: {retention_period: 2h}").engine_options().retention == 120 * MINUTE
    both = load("coordinator: {retention_period: 2h}\nstorage: {ttl: 1h}")
    assert both.engine_options().retention == 60 * MINUTE
