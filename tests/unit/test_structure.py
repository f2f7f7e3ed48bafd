"""The check of the product's shape, on small trees made up for it."""

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.structure import Rules, check, rules_of

RULES = Rules(packages=["src/app"])
Tree = dict[str, str]


@pytest.fixture
def wrong(tmp_path):
    """What is wrong with files of these texts."""

    def checked(files: Tree, rules: Rules = RULES) -> list[str]:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return check(tmp_path, rules)

    return checked


def methods(number: int) -> str:
    return "class Big:\n" + "".join(f"    def m{n}(self): ...\n" for n in range(number))


# ---- lines -----------------------------------------------------------------------------------------------------------


def test_a_sound_tree(wrong):
    files = {f"src/app/m{n}.py": "x = 1\n" * 300 for n in range(9)} | {"src/app/long.py": "x = 1\n" * 400}
    assert wrong(files | {"src/app/big.py": methods(25)}) == []


def test_a_long_file(wrong):
    assert wrong({"src/app/long.py": "x = 1\n" * 401})[0] == "src/app/long.py: 401 lines, 400 at most"


def test_one_in_ten_may_be_long_two_may_not(wrong):
    files = {f"src/app/m{n}.py": "x = 1\n" for n in range(8)}
    longer = {"src/app/a.py": "x = 1\n" * 301, "src/app/b.py": "x = 1\n" * 302}
    assert wrong(files | longer) == ["nine files in ten have up to 301 lines, 300 at most"]


def test_only_what_is_written_by_hand_and_has_a_suffix_counts(wrong):
    long = "1\n" * 500
    rules = replace(RULES, generated=["src/app/v1"], suffixes=[".py", ".lua"])
    files = {"src/app/v1/made.py": long, "src/app/data.json": long, "src/other/m.py": long, "src/app/v1x/m.lua": long}
    assert wrong(files, rules)[0] == "src/app/v1x/m.lua: 500 lines, 400 at most"
    assert len(wrong(files, rules)) == 2


# ---- classes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [methods(26), "def f():\n" + textwrap.indent(methods(26), "    ")])
def test_a_large_class(wrong, text):
    assert wrong({"src/app/big.py": text}) == ["src/app/big.py:Big: 26 methods, 25 at most"]


def test_the_parts_of_a_property_count_once_and_coroutines_count(wrong):
    more = "    async def c(self): ...\n    @property\n    def p(self): ...\n    @p.setter\n    def p(self, v): ...\n"
    assert wrong({"src/app/big.py": methods(23) + more}) == []
    assert wrong({"src/app/big.py": methods(24) + more}) == ["src/app/big.py:Big: 26 methods, 25 at most"]


# ---- circles ---------------------------------------------------------------------------------------------------------

LAZY = "def f():\n    from app.b import g\n"
TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from app import b\n"


@pytest.mark.parametrize(
    ("a", "line"),
    [
        ("import app.b\n", 1),
        ("import os, app.b as b\n", 1),
        ("from app.b import g\n", 1),
        ("from app import b\n", 1),
        ("from . import b\n", 1),
        ("from .b import g\n", 1),
        (LAZY, 2),
        (TYPES, 3),
    ],
)
def test_a_circle_however_it_is_written(wrong, a, line):
    (found,) = wrong({"src/app/__init__.py": "", "src/app/a.py": a, "src/app/b.py": "from app.a import f\n"})
    assert found.splitlines() == [
        "import circle among app.a, app.b:",
        f"  src/app/a.py:{line} imports app.b",
        "  src/app/b.py:1 imports app.a",
    ]


def test_a_circle_through_a_package(wrong):
    files = {"src/app/__init__.py": "from app.a import f\n", "src/app/a.py": "from app import f\n"}
    assert "import circle among app, app.a:" in wrong(files)[0]
    files = {"src/app/__init__.py": "", "src/app/a.py": "from .sub.c import g\n"}
    files |= {"src/app/sub/__init__.py": "from ..a import f\n", "src/app/sub/c.py": "from . import d\n"}
    (found,) = wrong(files)
    assert found.splitlines()[1:] == [
        "  src/app/a.py:1 imports app.sub.c",
        "  src/app/sub/c.py:1 imports app.sub",
        "  src/app/sub/__init__.py:1 imports app.a",
    ]


def test_across_packages(wrong):
    rules = replace(RULES, packages=["src/app", "lib/base"])
    files = {"src/app/a.py": "import base.b\n", "lib/base/b.py": "import app.a\n"}
    assert "import circle among app.a, base.b:" in wrong(files, rules)[0]


def test_the_shortest_way_round_is_told_and_each_knot_once(wrong):
    files = {
        "src/app/a.py": "import app.b\n",
        "src/app/b.py": "import app.c\n",
        "src/app/c.py": "import app.a\nimport app.b\n",
        "src/app/x.py": "import app.y, app.a\n",
        "src/app/y.py": "import app.x\n",
    }
    abc, xy = wrong(files)
    assert abc.splitlines() == [
        "import circle among app.a, app.b, app.c:",
        "  src/app/b.py:1 imports app.c",
        "  src/app/c.py:2 imports app.b",
    ]
    assert xy.startswith("import circle among app.x, app.y:")


def test_a_diamond_is_none(wrong):
    files = {
        "src/app/a.py": "import app.b, app.c, json\n",
        "src/app/b.py": "import app.d\n",
        "src/app/c.py": "import app.d\n",
    }
    assert wrong(files | {"src/app/d.py": ""}) == []


# ---- exceptions ------------------------------------------------------------------------------------------------------


def test_exceptions_let_pass_what_they_name_and_nothing_else(wrong):
    rules = replace(
        RULES, long_files=["src/app/long.py"], large_classes=["src/app/big.py:Big"], circles=["app.a -> app.b"]
    )
    files = {
        "src/app/long.py": "x = 1\n" * 500,
        "src/app/big.py": methods(40),
        "src/app/a.py": "import app.b\n",
        "src/app/b.py": "import app.a\n",
    }
    assert wrong(files, rules) == []
    more = {"src/app/longer.py": "x = 1\n" * 500, "src/app/bigger.py": methods(40), "src/app/c.py": "import app.c\n"}
    assert len(wrong(files | more, rules)) == 4, "the 90th percentile, too"


def test_an_exception_that_is_needed_no_more_is_wrong(wrong):
    rules = replace(
        RULES,
        long_files=["src/app/a.py", "src/app/gone.py"],
        large_classes=["src/app/a.py:Big"],
        circles=["app.a -> app.b", "app.gone -> app.a"],
    )
    files = {"src/app/a.py": "import app.b\n" + methods(25), "src/app/b.py": ""}
    assert wrong(files, rules) == [
        "src/app/a.py: needs no exception any more, take it out of long_files",
        "src/app/gone.py: needs no exception any more, take it out of long_files",
        "src/app/a.py:Big: needs no exception any more, take it out of large_classes",
        "app.a -> app.b: needs no exception any more, take it out of circles",
        "app.gone -> app.a: needs no exception any more, take it out of circles",
    ]


def test_the_rules_are_read_and_unknown_ones_refused(tmp_path):
    settings = tmp_path / "pyproject.toml"
    settings.write_text('[tool.structure]\npackages = ["p"]\nmax-lines = 7\n')
    assert rules_of(settings) == Rules(packages=["p"], max_lines=7)
    settings.write_text('[tool.structure]\npackages = ["p"]\nmax-rows = 7\n')
    with pytest.raises(TypeError, match="max_rows"):
        rules_of(settings)


def test_the_product_has_rules():
    rules = rules_of(Path(__file__).parents[2] / "pyproject.toml")
    assert (rules.max_lines, rules.p90_lines, rules.max_methods) == (400, 300, 25)
