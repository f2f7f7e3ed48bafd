"""Documents point to what exists."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER, CLIENT = ROOT / "server" / "swit_saga_server", ROOT / "client" / "swit_saga"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/README.md")])
OF_TODAY = [p for p in DOCUMENTS if p.parent.name != "adr" and p.name != "CHANGELOG.md"]
"""Documents that describe the present code. Decisions and the changelog speak of the code of their day."""
TO_COME = " (to come"
"""What follows the name of a file that a later change brings."""


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text())
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_to_headings_lead_to_one(document):
    for page, heading in re.findall(r"\]\(([^)#\s:]*)#([^)]+)\)", document.read_text()):
        text = (document.parent / page).read_text() if page else document.read_text()
        headings = {slug(line) for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
        assert heading in headings, f"{page}#{heading}"


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def paths(text: str) -> Iterator[tuple[str, bool]]:
    """Every path in backticks, and whether it is said to be to come."""
    for found in re.finditer(r"`([\w.-]+/[\w./-]*)`([^`\n]{0,12})", text):
        yield found[1], found[2].startswith(TO_COME)


def exists(path: str) -> bool:
    """Whether there is such a file or folder, from the root or within a package; a name after a module is cut off."""
    module = path.rpartition(".")[0] or path
    names = {path, path + ".py", module + ".py"}
    return any((folder / name).exists() for folder in (ROOT, SERVER, CLIENT) for name in names)


def is_ours(path: str) -> bool:
    """Whether it begins with a folder of this project, and so is no package name, media type or the like."""
    first = path.partition("/")[0]
    return any((folder / first).is_dir() for folder in (ROOT, SERVER, CLIENT)) or first == "brokers"


@pytest.mark.parametrize("document", OF_TODAY, ids=name_of)
def test_files_that_are_named_exist(document):
    named = [(path, to_come) for path, to_come in paths(document.read_text()) if is_ours(path)]
    assert [path for path, to_come in named if not to_come and not exists(path)] == []
    assert [path for path, to_come in named if to_come and exists(path)] == [], "it is there by now"


def test_every_decision_is_listed():
    folder = ROOT / "docs" / "adr"
    listed = re.findall(r"\((\d{4}-[^)]+)\)", (folder / "README.md").read_text())
    assert listed == sorted(p.name for p in folder.glob("0*.md"))


# ---- docs/architecture.md --------------------------------------------------------------------------------------------


def modules_named() -> dict[Path, list[str]]:
    """By folder: the modules in the first column of the tables that stand under the folder's name."""
    found: dict[Path, list[str]] = {}
    folder = None
    for line in (ROOT / "docs" / "architecture.md").read_text().splitlines():
        if line.startswith("## "):
            folder = None
        elif (named := re.match(r"`((?:server|client)/\w+(?:/\w+)?)`\.", line)) is not None:
            folder = ROOT / named[1]
        elif folder is not None and line.startswith("| `"):
            found.setdefault(folder, []).extend(re.findall(r"`([^`]+)`", line.split("|")[1]))
    return found


def test_modules_in_the_architecture_exist():
    named = modules_named()
    assert {folder.name for folder in named} == {"core", "engine", "store", "swit_saga_server", "swit_saga"}
    modules = [folder / name for folder, names in named.items() for name in names]
    assert [str(m) for m in modules if not m.is_dir() and not m.with_name(m.name + ".py").exists()] == []


@pytest.mark.parametrize("package", ["core", "engine"])
def test_the_architecture_names_every_module_of(package):
    named = modules_named()[SERVER / package]
    assert sorted(named) == sorted(p.stem for p in (SERVER / package).glob("*.py") if p.stem != "__init__")


def test_the_architecture_names_every_package():
    packages = {p.name for p in SERVER.iterdir() if (p / "__init__.py").exists()}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    layered = {name.rpartition(".")[2] for layer in layers for name in layer.split(" | ")}
    text = (ROOT / "docs" / "architecture.md").read_text()
    in_table = set(re.findall(r"^\| `([\w/]+)` \|", text.split("## Packages")[1].split("## core")[0], re.MULTILINE))
    assert in_table - {"client/swit_saga"} == layered - {"telemetry"}
    assert packages <= layered


# ---- the walks in CONTRIBUTING.md ------------------------------------------------------------------------------------


def walks() -> dict[str, list[str]]:
    """By walk: its files, in order."""
    text = (ROOT / "CONTRIBUTING.md").read_text().split("\n## Walks\n")[1].split("\n## ")[0]
    parts = re.split(r"^### (.*)$", text, flags=re.MULTILINE)[1:]
    return {
        title: re.findall(r"^\d+\. `([^`]+)`", body, re.MULTILINE)
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    }


def test_no_walk_comes_to_a_file_twice():
    found = walks()
    assert list(found) == ["A start", "An answer", "A cancel"]
    for files in found.values():
        assert len(files) > 10
        assert len(files) == len(set(files))
        assert [f for f in files if not exists(f)] == []


# ---- docs/edges.md ---------------------------------------------------------------------------------------------------


def test_every_test_that_holds_an_edge_exists():
    rows = re.findall(r"^\| .* \| (\[.*) \|$", (ROOT / "docs" / "edges.md").read_text(), re.MULTILINE)
    assert len(rows) > 100
    missing = []
    for row in rows:
        for file, names in re.findall(r"\]\(\.\./([^)]+)\)(?:: ((?:`[^`]+`(?:, )?)+))?", row):
            tree = ast.parse((ROOT / file).read_text())
            there = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
            wanted = {name.rpartition(".")[2] for name in re.findall(r"`([^`]+)`", names)}
            missing += [f"{file}: {name}" for name in wanted - there]
    assert missing == []
