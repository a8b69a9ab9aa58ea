"""The arrows between rooms, and house rules that a machine can check (see CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
# What each room may import of the other rooms. `local` may see all, and nothing in production sees `local`.
ARROWS = {
    "contract": set(),
    "infra": {"contract"},
    "functions": {"contract"},
    "training": {"contract"},
    "serving": {"contract"},
    "cli": {"contract"},
    "local": {"contract", "infra", "functions", "training", "serving"},
}
ROOMS = set(ARROWS)
# Folders that only a machine of some person or service has. This file is about them, so it spells them in pieces.
MACHINE_PATH = re.compile(
    r"(?<![\w.$}/<-])/(?:" + "|".join(["ho" + "me", "ro" + "ot", "wo" + "rk", "Us" + "ers"]) + r")/\w"
)


@cache
def modules(room: str) -> list[Path]:
    return sorted(path for path in (REPOSITORY / room).rglob("*.py") if "__pycache__" not in path.parts)


# At import, before any laptop cloud of this process has threads: until 3.11.8 Python cannot parse in two at a time.
TREES = {path: ast.parse(path.read_text()) for room in sorted(ROOMS) for path in modules(room)}


@cache
def imports(path: Path) -> set[str]:
    """Return the packages that a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = path.relative_to(REPOSITORY).parts[: -node.level] if node.level else (node.module or "").split(".")
            found.add(inside[0])
    return found


@cache
def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    return [path for name in listing.decode().split("\0") if name and (path := REPOSITORY / name).is_file()]


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_only_the_rooms_it_may(room: str) -> None:
    assert modules(room), f"{room} has no modules"
    wrong = [
        f"{path.relative_to(REPOSITORY)} imports {', '.join(sorted(others))}"
        for path in modules(room)
        if (others := imports(path) & ROOMS - {room} - ARROWS[room])
    ]
    assert wrong == []


def test_the_contract_needs_nothing_but_the_standard_library() -> None:
    wrong = {
        f"{path.name}: {name}"
        for path in modules("contract")
        for name in imports(path) - set(sys.stdlib_module_names) - {"contract"}
    }
    assert wrong == set()


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_nothing_imports_the_tests(room: str) -> None:
    assert [path.name for path in modules(room) if "tests" in imports(path)] == []


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_every_public_module_says_what_it_is(room: str) -> None:
    silent = [
        str(path.relative_to(REPOSITORY))
        for path in modules(room)
        if path.read_text().strip() and not ast.get_docstring(TREES[path])
    ]
    assert silent == []


def test_no_file_speaks_of_a_folder_that_only_one_machine_has() -> None:
    wrong = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # a picture or an archive
        wrong += [
            f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(text.splitlines(), start=1)
            if MACHINE_PATH.search(line)
        ]
    assert wrong == []


@pytest.mark.parametrize("text", ["cd /{}/x", '"/{}/someone/file"', "path=/{}/a", "file:/{}/a"])
def test_machine_folders_are_found(text: str) -> None:
    assert MACHINE_PATH.search(text.format("ro" + "ot"))


@pytest.mark.parametrize(
    "text", ["/opt/ml/model", "$HOME/x", "s3://bucket/wo" + "rk/x", "<root>/x", "a/ho" + "me/b", "~/x"]
)
def test_other_paths_are_let_through(text: str) -> None:
    assert not MACHINE_PATH.search(text)


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_no_work_is_left_for_later_in_comments(room: str) -> None:
    marks = re.compile(r"#.*\b(?:TO" + "DO|FIX" + r"ME|XXX|HACK)\b")
    wrong = [
        f"{path.relative_to(REPOSITORY)}:{number}"
        for path in modules(room)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if marks.search(line)
    ]
    assert wrong == []
