"""Requests that are right, for tests to spoil."""

from __future__ import annotations

from typing import Any

from contract.request import RunRequest, Upload, build_request

TABLE = {"prepare": {"target": "risk"}}


def upload(key: str = "acme/credit/inbox/rows.csv") -> Upload:
    return Upload(bucket="data-bucket", key=key, version_id="v1", bytes=1000, files=1)


def build(
    project_toml: dict[str, Any] | None = None,
    *,
    key: str = "acme/credit/inbox/rows.csv",
    suffix: str = "",
    **console: Any,
) -> RunRequest:
    """The request of a table's upload; ``console`` overrides the execution's input."""
    return build_request(
        run="run-1",
        console={"tenant": "acme", "project": "credit", **console},
        project_toml=TABLE if project_toml is None else project_toml,
        upload=upload(key),
        suffix=suffix,
    )


def build_image(project_toml: dict[str, Any] | None = None, **console: Any) -> RunRequest:
    """The request of a zip's upload."""
    return build(project_toml or {}, key="acme/digits/inbox/digits.zip", **console)
