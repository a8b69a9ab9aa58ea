"""The documents are true: generated pages are fresh, nothing public is undocumented, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import generate

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
TEST = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")
LINK = re.compile(r"\[[^\]]+\]\(([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", generate.PAGES)
def test_reference_pages_are_fresh(page: str) -> None:
    path = generate.REFERENCE / page
    assert path.read_text() == generate.HEADER + generate.PAGES[page](), "run: make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing, f"{page.name} links to {missing}"


def test_every_test_that_a_page_names_exists() -> None:
    named = [found for page in PAGES for found in TEST.findall(page.read_text())]
    assert len(named) > 30
    assert [(file, test) for file, test in named if f"def {test}(" not in (ROOT / file).read_text()] == []


def test_every_dependency_says_why_it_is_there() -> None:
    lists = "".join((ROOT / name).read_text() for name in ("requirements.in", "requirements.toolkit"))
    names = re.findall(r"^([A-Za-z0-9][A-Za-z0-9_.-]*)", lists, re.MULTILINE)
    page = (ROOT / "docs/dependencies.md").read_text()
    assert names
    assert [name for name in names if f"`{name}`" not in page] == []
