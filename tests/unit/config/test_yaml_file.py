"""YAML without its traps."""

import time

import pytest

from swit_saga_server.yaml_file import YamlError, load_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("=", "="),
        ("true", True),
        ("False", False),
        ("7", 7),
        ("-7", -7),
        ("010", 10),
        ("1.5", 1.5),
        ("1.5e3", 1500.0),
        ("~", None),
        ("null", None),
        ("", None),
        ("'7'", "7"),
    ],
)
def test_plain_values(text, value):
    read = load_yaml(f"key: {text}")["key"]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", r"'a' comes twice \(line 3, column 1\)"),
        ("outer:\n  a: 1\n  a: 2", r"'a' comes twice \(line 3, column 3\)"),
        ("a: &x 1\nb: *x", r"aliases .* not allowed \(line 2, column 4\)"),
        ("a: !!python/object/apply:os.system [ls]", "there is a tag"),
        ("a:\n\tb: 1", r"a tab cannot indent; write spaces \(line 2, column 1\)"),
        ("a: [1", "line 1"),
        ("a: 1\n---\nb: 2", "document"),
        ("? [1, 2]\n: x", "key"),
        ("? {a: 1}\n: x", "key"),
    ],
)
def test_refused_with_its_place(text, message):
    with pytest.raises(YamlError, match=message):
        load_yaml(text)


def test_an_alias_bomb_is_refused_at_its_first_alias():
    levels = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 12)]
    began = time.process_time()
    with pytest.raises(YamlError, match="aliases"):
        load_yaml("\n".join(levels))
    assert time.process_time() - began < 1
