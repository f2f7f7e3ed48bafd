"""What a file may be, what goes before what, and what must not hide behind it; contradictions; secrets."""

import os
import traceback
from pathlib import Path
from typing import Any

import pytest

from swit_saga_server.config import ConfigError, SagaConfig
from swit_saga_server.config.sources import read_file

SECRET = "s3cr3t"


def load(file: Path, content: str | bytes, variables: dict[str, str] | None = None, **overrides: Any) -> SagaConfig:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return SagaConfig.load(file, overrides, variables or {})


@pytest.fixture
def file(tmp_path):
    return tmp_path / "saga.yaml"


@pytest.mark.parametrize(
    "content",
    [
        "", "\n", "# nothing\n", "---\n", "{}", "null", "\ufeffcoordinator: {}", "coordinator:\nparticipants:\n",
        "storage:\n  redis:\n", "coordinator: {default_retry_policy: }",
    ],
)  # fmt: skip
def test_files_that_say_nothing(file, content):
    assert load(file, content) == SagaConfig()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nonsense", "must be a mapping of sections"),
        ("- a", "must be a mapping of sections"),
        ("7", "must be a mapping of sections"),
        ("coordinator:\n\tname: x", r"line 2"),
        ("coordinator: [", "line 1"),
        ("a: *x", "aliases"),
        ("password: !s3cr3t", r"there is a tag.*line 1"),
        ("password: &s3cr3t [&s3cr3t x]", "line 1"),
        ("password: [s3cr3t", "line 1"),
        ("storage: {redis: {password: 's3cr3t}}", "line 1"),
        ("%s3cr3t s3cr3t", "line 1"),
        (b"\xff\xfea\0", "not UTF-8"),
        ("name: a\0b", "not allowed in YAML"),
        ("x: " + "[" * 20_000, "too deep"),
        ("coordinator: {max_queue_length: " + "9" * 5_000 + "}", "more than 400 digits"),
        ("x: '" + "y" * (2 << 20) + "'", "larger than"),
        ("redis://:s3cr3t@h:1 : x\nredis://:s3cr3t@h:1 : y", "a key comes twice .line 2"),
        ("s3cr3t: [1", r"expected ',' or '\]', but got '<stream end>' .line 1"),
        ("5: x", "key must be text"),
        ("coordinator: {5: x}", r"coordinator\.5: a key must be text"),
        ("storage: redis://:s3cr3t@h:1", "storage: must be a mapping of options"),
        ("storage: {'redis://:s3cr3t@h:1': x}", r"storage\.\(no name\): there is no such option"),
        ("participants: nonsense", "participants: must be a mapping of participants"),
        ("participants: [shop]", "participants: must be a mapping of participants"),
        ("participants: {shop: 'shop:1'}", r"participants\.shop: must be a mapping of options"),
        ("participants: {shop: [x]}", r"participants\.shop: must be a mapping of options"),
        ("participants: {shop: }", r"participants\.shop\.address: is missing"),
        ("participants: {'': {address: 'h:1'}}", "a name must have at least 1 char"),
        ("participants: {' shop': {address: 'h:1'}}", "spaces"),
        ("participants: {'a/b': {address: 'h:1'}}", "without '/'"),
        ("participants: {" + "x" * 201 + ": {address: 'h:1'}}", "at most 200"),
        ("participants: {shop: {address: 'http://pay:50051'}}", r"shop\.address: write HOST:PORT, without a scheme"),
        ("participants: {shop: {address: pay}}", r"shop\.address: the port is missing"),
        ("server: {listen: '127.0.0.1'}", r"server\.listen: the port is missing"),
        ("server: {listen: '50051'}", r"server\.listen: "),
        ("server: {listen: ':99999'}", r"server\.listen: "),
        ("server: {keepalive: {time: 30d}}", "time must be from 1s to 1d"),
        ("coordinator: {step_timeout: 36526d}", "longest duration is 36525d"),
        ("coordinator: {name: 'a/b'}", r"coordinator\.name: must be printable"),
        ("coordinator: {default_retry_policy: {max_attempts: true}}", "max_attempts: must be a number"),
        ("coordinator: {default_retry_policy: {multiplier: nan}}", "multiplier: must be a number"),
    ],
)  # fmt: skip
def test_refused_in_words(file, content, message):
    # What the environment or the command line says does not hide what is wrong with the file.
    variables = {"SWIT_SAGA_COORDINATOR__MODE": "orchestration"}
    with pytest.raises(ConfigError, match=message) as refused:
        load(file, content, variables, participants={}, storage={})
    assert str(file) in str(refused.value)
    assert SECRET not in "".join(traceback.format_exception(refused.value)).replace(str(file), "")


def test_files_that_cannot_be_read(tmp_path):
    for path, message in ((tmp_path, "Is a directory"), (tmp_path / "no.yaml", "No such file"), ("", "directory")):
        with pytest.raises(ConfigError, match=message):
            SagaConfig.load(path, variables={})


def test_a_pipe_is_read_and_one_that_nobody_writes_to_is_refused(tmp_path):
    # As ``--config <(decrypt saga.yaml)`` in a shell; and a pipe by a name, which a mistake may leave there.
    out, into = os.pipe()
    os.write(into, b"coordinator: {name: a}")
    os.close(into)
    assert SagaConfig.load(f"/dev/fd/{out}", variables={}).coordinator.name == "a"
    os.close(out)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="pipe: nothing comes out of it"):
        read_file(tmp_path / "pipe", patience_s=0.05)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_file("a\0b")


@pytest.mark.parametrize("path", ["redis:6379", "u:s3cr3t@h:6379", "[::1]:6379"])
def test_where_redis_is_is_not_taken_for_a_file(path):
    with pytest.raises(ConfigError, match=r"connection (looks like HOST:PORT|is a URL)") as refused:
        SagaConfig.load(None, variables={"SWIT_SAGA_STORAGE__CONNECTION": path})
    assert SECRET not in str(refused.value)
    assert SagaConfig.load(None, variables={"SWIT_SAGA_STORAGE__CONNECTION": f"./{path}"})


def test_two_variables_of_one_participant():
    one, other = (f"SWIT_SAGA_PARTICIPANTS__{name}__ADDRESS" for name in ("PAYMENT", "payment"))
    with pytest.raises(ConfigError, match=f"{other}: {one} says the same of the same participant, payment"):
        SagaConfig.load(None, variables={one: "a:1", other: "b:1"})
    assert SagaConfig.load(None, variables={one: "", other: "b:1"}).participants["payment"].address == "b:1"


@pytest.mark.parametrize("name", ["SWIT_SAGA_PARTICIPANTS____ADDRESS", "SWIT_SAGA_PARTICIPANTS______ADDRESS"])
def test_a_variable_without_a_participants_name(name):
    with pytest.raises(ConfigError, match="did you mean SWIT_SAGA_PARTICIPANTS__NAME__ADDRESS"):
        SagaConfig.load(None, variables={name: "a:1"})


def test_an_empty_variable_is_as_good_as_none(file):
    assert load(file, "coordinator: {name: a}", {"SWIT_SAGA_COORDINATOR__NAME": ""}).coordinator.name == "a"


@pytest.mark.parametrize(
    ("variable", "file_has", "name"),
    [
        ("SWIT_SAGA_PARTICIPANTS__PAYMENT__ADDRESS", "", "payment"),
        ("SWIT_SAGA_PARTICIPANTS__Payment__ADDRESS", "", "Payment"),
        ("SWIT_SAGA_PARTICIPANTS__payment__ADDRESS", "", "payment"),
        ("SWIT_SAGA_PARTICIPANTS__MY-PAY__ADDRESS", "", "my-pay"),
        ("SWIT_SAGA_PARTICIPANTS__a__b__ADDRESS", "", "a__b"),
        ("SWIT_SAGA_PARTICIPANTS__PAYMENT__ADDRESS", "PAYMENT", "PAYMENT"),
        ("SWIT_SAGA_PARTICIPANTS__PAYMENT__ADDRESS", "payment", "payment"),
    ],
)
def test_names_of_participants_keep_their_case(file, variable, file_has, name):
    content = f"participants: {{{file_has}: {{address: 'old:1'}}}}" if file_has else ""
    config = load(file, content, {variable: "new:1"})
    assert {n: p.address for n, p in config.participants.items()} == {name: "new:1"}


def test_a_name_of_another_case_than_the_files_is_refused(file):
    with pytest.raises(
        ConfigError, match="file calls this participant Payment; write SWIT_SAGA_PARTICIPANTS__Payment__"
    ):
        load(file, "participants: {Payment: {address: 'p:1'}}", {"SWIT_SAGA_PARTICIPANTS__PAYMENT__ADDRESS": "q:1"})


def test_what_kubernetes_sets_beside_a_service_is_not_ours(file):
    links = {
        "SWIT_SAGA_SERVICE_HOST": "10.0.0.1",
        "SWIT_SAGA_SERVICE_PORT": "50051",
        "SWIT_SAGA_SERVICE_PORT_GRPC": "50051",
        "SWIT_SAGA_PORT": "tcp://10.0.0.1:50051",
        "SWIT_SAGA_PORT_50051_TCP": "tcp://10.0.0.1:50051",
        "SWIT_SAGA_PORT_50051_TCP_PROTO": "tcp",
        "SWIT_SAGA_PORT_50051_TCP_PORT": "50051",
        "SWIT_SAGA_PORT_50051_TCP_ADDR": "10.0.0.1",
        "SWIT_SAGA_COORDINATOR_SERVICE_HOST": "10.0.0.1",
        "SWIT_SAGA_COORDINATOR_PORT": "tcp://10.0.0.1:50051",
    }
    assert load(file, "", links) == SagaConfig()


URLS = ["redis://h:1/0", "rediss://u:p%23@h", "redis://:pa@ss@h:1", "redis+sentinel://a:1,b:2/main/0",
        "rediss+sentinel://u:p@a:1/main?sentinel_username=u&sentinel_password=p", "redis+cluster://a:1,b:2",
        "redis://[::1]:1"]  # fmt: skip
NO_URLS = [
    "redis:/u:s3cr3t@h:1", "REDIS://:s3cr3t@h:1", "redsi://:s3cr3t@h:1", "redisss://:s3cr3t@h:1", "http://h:1",
    "redis:h:1", "sqlite:///x.db", "file:x.db", "redis+sentinal://h:1/m", "postgres://u:s3cr3t@h/db",
]  # fmt: skip
BROKEN = [
    "redis://:s3cr3t#x@h:1/0", "redis://:s3cr3t/x@h:1/0", "redis://:s3cr3t?x@h:1/0", "redis://:s3cr3t%zz@h:1",
    "redis://:s3cr3t", "redis://h:s3cr3t", "redis://[s3cr3t@h:1", "redis://:x@h:1/s3cr3t", "redis://:s3 cr3t@h:1",
    "redis://", "redis://h:1?password=s3cr3t", "redis+sentinel://:s3cr3t@h:1", "redis://a:1,b:2", "redis://u:s3cr3t@",
]  # fmt: skip


def said(file: Path, content: str) -> str:
    with pytest.raises(ConfigError, match="connection") as refused:
        load(file, content)
    shown = "".join(traceback.format_exception(refused.value))
    assert SECRET not in shown
    return str(refused.value)


@pytest.mark.parametrize("url", URLS)
def test_urls_of_redis(file, url):
    config = load(file, f"storage: {{type: redis, connection: '{url}'}}")
    config.storage.open()
    assert "@" not in config.storage.where
    assert url not in repr(config)


@pytest.mark.parametrize("url", URLS + NO_URLS + BROKEN)
def test_no_url_is_taken_for_a_file(file, url):
    assert "set type to 'redis'" in said(file, f"storage: {{connection: '{url}'}}")


@pytest.mark.parametrize("url", [*NO_URLS, *BROKEN, "r:1", "/data/saga.db", "saga.db"])
def test_what_is_no_url_of_redis(file, url):
    said(file, f"storage: {{type: redis, connection: '{url}'}}")


@pytest.mark.parametrize("option", ["address: 'r:1'", "db: 0", "username: u", "password: s3cr3t", "tls: true"])
def test_a_url_and_what_it_says_already(file, option):
    found = said(file, f"storage: {{type: redis, connection: 'redis://h:1', redis: {{{option}}}}}")
    assert f"leave out redis.{option.partition(':')[0]}" in found


@pytest.mark.parametrize("option", ["timeout: 1s", "pool_size: 3", "durability: fsync", "ca_file: x"])
def test_a_url_and_what_it_does_not_say(file, option):
    load(file, f"storage: {{type: redis, connection: 'redis://h:1', redis: {{{option}}}}}")


def test_a_password_is_not_taken_apart(file):
    config = load(file, f"storage: {{type: redis, redis: {{password: '{SECRET}#@/%'}}}}")
    config.storage.open()
    for shown in (repr(config), str(config), config.storage.where, repr(config.model_dump())):
        assert SECRET not in shown


def test_the_images_environment_leaves_the_file_its_say():
    text = (Path(__file__).parents[3] / "Dockerfile").read_text()
    assert "SWIT_SAGA_" not in text
