"""Log events by stream, as `tandem logs` asks for them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import Cloud

GROUP = "/tests/streams"


def filled(logs: Any) -> Any:
    """Make three streams, each with a line, the later ones first."""
    logs.create_log_group(logGroupName=GROUP)
    now = int(time.time() * 1000)
    for later, stream in ((3, "job-1/a"), (2, "job-1/b"), (1, "job-10/a")):
        logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        line = {"timestamp": now + later, "message": stream}
        logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=[line])
    return logs


def said(logs: Any, **query: Any) -> list[str]:
    return [event["message"] for event in logs.filter_log_events(logGroupName=GROUP, **query)["events"]]


def test_the_streams_of_a_prefix_are_read_in_order_of_time(cloud: Cloud) -> None:
    logs = filled(cloud.client("logs"))
    assert said(logs) == ["job-10/a", "job-1/b", "job-1/a"]
    assert said(logs, logStreamNamePrefix="job-1/") == ["job-1/b", "job-1/a"]
    assert said(logs, logStreamNames=["job-10/a"]) == ["job-10/a"]
    assert said(logs, logStreamNamePrefix="none") == []
    with pytest.raises(ClientError, match="Cannot specify both"):
        said(logs, logStreamNamePrefix="job-1/", logStreamNames=["job-1/a"])


def test_vanilla_moto_reads_all_streams_one_after_the_other(vanilla: Any) -> None:
    logs = filled(vanilla.client("logs"))
    assert said(logs, logStreamNamePrefix="job-1/") == ["job-1/a", "job-1/b", "job-10/a"]
