"""Batches: a file that the champion answers as a whole, by a transform job."""

from __future__ import annotations

import hashlib

CSV, JSON = "text/csv", "application/json"
CONTENT_TYPES = {".csv": CSV, ".json": JSON, ".npy": "application/x-npy"}
"""What a file's ending means to the server; answers to CSV are CSV, all others JSON."""

MAX_PAYLOAD_MB = 100
"""The largest request of a transform job (MaxPayloadInMB, CreateTransformJob)."""

INSTANCE = "ml.m5.large"
RUNNING, ANSWERED, FAILED, STOPPED = "RUNNING", "ANSWERED", "FAILED", "STOPPED"
"""The status of a batch's row."""
ID_LENGTH = 12


def batch_id(bucket: str, key: str, version_id: str) -> str:
    """Return the id of one object version's batch: however often its event arrives, it is the same."""
    return hashlib.sha256(f"{bucket}/{key}@{version_id}".encode()).hexdigest()[:ID_LENGTH]
