"""Where a stage of an API is: on AWS a host name of its own, here a path of the cloud's one address."""

from __future__ import annotations

import re

PREFIX = "/_aws/execute-api/"
"""The cloud's paths that lead to APIs: ``<prefix><api>/<stage>/...``. No bucket can have such a name."""
_ON_AWS = re.compile(r"https://([a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/")


def on_this_machine(value: str, url: str) -> str:
    """Return text with AWS's addresses of APIs replaced by those of the cloud at ``url``."""
    return _ON_AWS.sub(lambda match: f"{url}{PREFIX}{match[1]}/", value)


def split(path: str) -> tuple[str, str, str]:
    """Split a path below PREFIX into API, stage, and the path within the stage, which starts with a slash."""
    api, _, rest = path.removeprefix(PREFIX).partition("/")
    stage, _, inside = rest.partition("/")
    return api, stage, f"/{inside}"
