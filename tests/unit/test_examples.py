"""The participants in other languages: what is shown of them is what is there, nothing comes from an address."""

import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
GO, TYPESCRIPT = ROOT / "examples" / "go-participant", ROOT / "examples" / "typescript-participant"


def test_the_recipe_on_the_page_is_the_examples():
    [shown] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "other-languages.md").read_text(), re.DOTALL)
    assert yaml.safe_load(shown) == yaml.safe_load((GO / "buf.gen.yaml").read_text())


def test_locked_packages_have_no_address():
    locked = json.loads((TYPESCRIPT / "package-lock.json").read_text())["packages"]
    assert len(locked) > 10
    assert [name for name, package in locked.items() if "resolved" in package] == []


def test_versions_are_pinned():
    package = json.loads((TYPESCRIPT / "package.json").read_text())
    versions = [*package["dependencies"].values(), *package["devDependencies"].values()]
    assert [version for version in versions if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []


def test_each_module_of_theirs_is_explained():
    for folder, suffix in ((GO, ".go"), (TYPESCRIPT, ".ts")):
        readme = (folder / "README.md").read_text()
        modules = {p.name for p in folder.iterdir() if p.suffix == suffix} - {f"main{suffix}"}
        assert modules == set(re.findall(rf"^\| `(\w+\{suffix})`", readme, re.MULTILINE))
