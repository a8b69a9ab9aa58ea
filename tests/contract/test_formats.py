"""What executions and archives of this release hold is read by the next one: formats.json was written by this one.

A run that was started before an upgrade brings its documents to the functions and jobs after it, a resumed one after
two weeks; a champion's archive is read years later. So a field may be added with a default, and none may go or change
its meaning. Never write the file anew: add to it what a release writes otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from contract.golden import Golden
from contract.manifest import ModelManifest, Schema
from contract.parsing import to_dict
from contract.reports import DatasetReport, EvaluationReport
from contract.request import RunRequest

KINDS: dict[str, Any] = {
    each.__name__: each for each in (RunRequest, DatasetReport, EvaluationReport, ModelManifest, Schema, Golden)
}
WRITTEN = json.loads(Path(__file__).with_name("formats.json").read_text())


def is_kept(before: Any, now: Any) -> bool:
    """Say whether everything that was written is there still; what is new beside it has its default."""
    if isinstance(before, Mapping):
        return all(name in now and is_kept(value, now[name]) for name, value in before.items())
    if isinstance(before, list):
        return len(before) == len(now) and all(map(is_kept, before, now))
    return bool(before == now)


@pytest.mark.parametrize("kind", KINDS)
def test_documents_of_earlier_releases_are_read_with_all_that_they_say(kind: str) -> None:
    assert WRITTEN[kind]
    for document in WRITTEN[kind]:
        assert is_kept(document, json.loads(json.dumps(to_dict(KINDS[kind].from_dict(document)))))
