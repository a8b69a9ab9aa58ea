"""The laptop cloud as people start it: a program of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3

from local.cloud import REGION


class RunningCloud:
    """`python -m local`, from start to stop; a client is all it gives."""

    def __init__(self, root: Path, *, clock_scale: float) -> None:
        self.command = [sys.executable, "-m", "local", "--port", "0", "--root", str(root)]
        self.command += ["--clock-scale", str(clock_scale)]

    def __enter__(self) -> RunningCloud:
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        assert self.process.stdout
        announced = json.loads(self.process.stdout.readline())
        self.url: str = announced["endpoint_url"]
        self.environment: dict[str, str] = announced["environment"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdout
        with self.process.stdout:
            self.process.terminate()
            assert self.process.wait(timeout=30) == 0

    def client(self, service: Any) -> Any:
        """Return a boto3 client of this cloud."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="laptop",
            aws_secret_access_key="laptop",
        )
