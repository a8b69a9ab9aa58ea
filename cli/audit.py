"""The audit trail: what the command line adds to it, and its events as they were written.

Nobody can change a line of a log group. Which of them prove who did something is said in docs/how-to/audit.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from cli.aws import Account
from cli.errors import CommandError, NotDeployed
from contract import names

Event = dict[str, Any]


def tell(account: Account, detail_type: str, detail: dict[str, Any]) -> None:
    """Put an event of ours on the bus, for the audit trail: what the caller of this command has done.

    Args:
        account: where.
        detail_type: a name of contract.names.
        detail: with ``tenant``, ``project`` ("" for all of them) and ``what``, a line for people. No value of any
            person's data.

    Raises:
        CommandError: when the bus did not take it.
    """
    said = {**detail, "said_by": account.client("sts").get_caller_identity()["Arn"]}
    entry = {"Source": names.EVENT_SOURCE, "DetailType": detail_type, "Detail": json.dumps(said, ensure_ascii=False)}
    answer = account.client("events").put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        raise CommandError(f"It is done, but the audit trail was not told: {answer['Entries'][0]['ErrorMessage']}")


def events(account: Account, since: datetime) -> Iterator[Event]:
    """Yield the events of the audit trail, in the order in which CloudWatch Logs has them.

    Raises:
        NotDeployed: where there is none.
    """
    group = account.outputs.get(names.OUTPUT_AUDIT_LOGS)
    if group is None:
        raise NotDeployed("What is deployed there is older and has no audit trail.", "Deploy it: tandem deploy")
    start = int(since.timestamp() * 1000)
    for line in account.pages("logs", "filter_log_events", "events", logGroupName=group, startTime=start):
        yield json.loads(line["message"])
