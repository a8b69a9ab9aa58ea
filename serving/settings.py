"""What the container's environment says.

Sources: SageMaker's hosting contract ("Custom Inference Code with Hosting
Services": port 8080, ``SAGEMAKER_BIND_TO_PORT``) and batch transform
(``SAGEMAKER_MAX_PAYLOAD_IN_MB``; 0 means no limit).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contract.errors import InvalidConfig, nearest
from contract.names import (
    BASE_DIR,
    DEFAULT_BASE_DIR,
    SERVING_CAPTURE_FOLDER,
    SERVING_CAPTURE_PERCENT,
    SERVING_DRAIN,
    SERVING_HOST,
    SERVING_JOIN,
    SERVING_LOG_LINES,
    SERVING_MAX_PAYLOAD,
    SERVING_METRIC_SECONDS,
    SERVING_MODEL_NAME,
    SERVING_QUEUE,
    SERVING_ROUTES,
)

ROUTES = frozenset({"v2", "metrics"})
NAME = re.compile(r"[A-Za-z0-9._-]+")
PORTS = ("SAGEMAKER_BIND_TO_PORT", "PORT")  # the first that is set wins
DEFAULT_PORT = 8080
DEFAULT_MAX_PAYLOAD_MB = 6  # what InvokeEndpoint lets through
DEFAULT_QUEUE = 256
DEFAULT_JOIN = 64
DEFAULT_LOG_LINES = 10
DEFAULT_DRAIN_SECONDS = 25  # SageMaker kills 30 s after SIGTERM


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to serve."""

    model_folder: Path
    host: str
    port: int
    max_body: float  # bytes; infinity for no limit
    threads: int  # inferences at once
    queue: int  # requests that may wait
    join: int  # requests that are answered together at most
    log_lines: float  # a second, below a warning
    drain_seconds: int  # after SIGTERM, for what has begun
    routes: frozenset[str]  # of ROUTES
    model_name: str  # in the paths of V2; empty for the project's
    metric_seconds: int  # between two lines of embedded metrics; 0 for none
    capture_percent: int
    capture_folder: Path | None

    def __post_init__(self) -> None:
        if self.capture_percent and self.capture_folder is None:
            raise InvalidConfig(SERVING_CAPTURE_FOLDER, "", f"a folder, as {SERVING_CAPTURE_PERCENT} is set")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the settings.

        Raises:
            InvalidConfig: for a port or a size that is no number in range.
        """
        megabytes = _integer(environment, (SERVING_MAX_PAYLOAD,), DEFAULT_MAX_PAYLOAD_MB, maximum=1_048_576)
        return cls(
            model_folder=Path(environment.get(BASE_DIR) or DEFAULT_BASE_DIR) / "model",
            host=environment.get(SERVING_HOST) or "0.0.0.0",
            port=_integer(environment, PORTS, DEFAULT_PORT, maximum=65535),
            max_body=megabytes * 2**20 or float("inf"),
            threads=_cores(),
            queue=_integer(environment, (SERVING_QUEUE,), DEFAULT_QUEUE, maximum=100_000),
            join=_integer(environment, (SERVING_JOIN,), DEFAULT_JOIN, maximum=1024) or 1,
            log_lines=_integer(environment, (SERVING_LOG_LINES,), DEFAULT_LOG_LINES, maximum=1_000_000) or float("inf"),
            drain_seconds=_integer(environment, (SERVING_DRAIN,), DEFAULT_DRAIN_SECONDS, maximum=3600),
            routes=_routes(environment.get(SERVING_ROUTES, "")),
            model_name=_name(environment.get(SERVING_MODEL_NAME, "")),
            metric_seconds=_integer(environment, (SERVING_METRIC_SECONDS,), 0, maximum=3600),
            capture_percent=_integer(environment, (SERVING_CAPTURE_PERCENT,), 0, maximum=100),
            capture_folder=Path(folder) if (folder := environment.get(SERVING_CAPTURE_FOLDER)) else None,
        )


def _routes(text: str) -> frozenset[str]:
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    for name in names - ROUTES:
        raise InvalidConfig(SERVING_ROUTES, name, f"{' and '.join(sorted(ROUTES))}, by commas. {nearest(name, ROUTES)}")
    return names


def _name(text: str) -> str:
    if text and not NAME.fullmatch(text):
        raise InvalidConfig(SERVING_MODEL_NAME, text, "letters, digits, '.', '_' and '-'")
    return text


def _integer(environment: Mapping[str, str], variables: tuple[str, ...], default: int, *, maximum: int) -> int:
    name = next((name for name in variables if environment.get(name)), None)
    if name is None:
        return default
    text = environment[name]
    if not (text.isascii() and text.isdigit() and int(text) <= maximum):
        raise InvalidConfig(name, text, f"an integer from 0 to {maximum}")
    return int(text)


def _cores() -> int:
    """Return the cores this process may use; macOS cannot say, so there it is all of them."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
