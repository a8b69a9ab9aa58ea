"""Versions in service without an endpoint: what answers instead."""

from __future__ import annotations

HOW = {
    "batch": "It answers files: tandem batch {project} FILE, or an object below {project}/batch/ of the data bucket.",
    "edge": "It runs on devices: tandem edge run {project}, or the bundle below {project}/edge/ of the artifacts "
    "bucket.",
}
"""By target (contract.names.OFFLINE_TARGETS)."""


def how(target: str, project: str) -> str:
    """Return what to do instead of asking an endpoint of ``<tenant>/<project>``."""
    return HOW[target].format(project=project)
