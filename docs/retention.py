"""The reference page of retention, from its table (contract/retention.py)."""

from __future__ import annotations

from contract import async_calls, retention

PLACES = {retention.DATA: "`<tenant>/<project>/{}`", retention.ARTIFACTS: "`<tenant>/<project>/{}`"}
HEAD = f"""# Retention

How long each kind of data is kept. Days count from when an object was written. The CDK context `tandem:keep_days`
changes them for all tenants: `{{"capture": 30, "datasets": 0}}`, where 0 is for good. Kinds with places of their own
are kept at least {retention.SHORTEST} days, as long as a run may wait for an approval or be resumed.

| kind | what | bucket | where | days |
|---|---|---|---|---|
"""
REST = f"""
A function deletes once a day what is older, kind by kind: S3's own rules choose objects by the beginning of their keys
or by tags, but here keys begin with tenant and project, and SageMaker tags nothing. What it deletes stays as an old
version (`old_data`, `old_artifacts`) until the bucket's rule takes it for good, and can be put back until then. Rules
of the buckets also take parts of uploads that were not finished in 7 days. A call looks at as many objects as it can
in 14 minutes, the projects each day in another order, and warns in its log when it could not look at all.

`tandem reproduce` says so when a dataset is gone, and training that replays earlier rows goes on without them. What is
to go at once, in all its versions, is [forgotten](../how-to/forget.md).

| what else is kept | how long |
|---|---|
| runs, budgets, erasures in the ledger | for good; it can be restored to any second of the last 35 days |
| requests of the public API to queues, in the ledger | {async_calls.KEPT_SECONDS // 86_400} days |
| logs of functions and machines | `tandem:log_days` |
| logs of SageMaker's jobs and endpoints | as long as their log groups say: for good unless you set it |
| the trail | a year, locked for 90 days |
| [the audit trail](../how-to/audit.md) | ten years |
"""


def page() -> str:
    """How long each kind of data is kept, and by what."""
    return HEAD + "".join(_line(name, kind) for name, kind in retention.KINDS.items()) + REST


def _line(name: str, kind: retention.Kind) -> str:
    where = ", ".join(PLACES[kind.bucket].format(place) for place in kind.below) or "everywhere"
    return f"| `{name}` | {kind.what} | {kind.bucket} | {where} | {kind.days or 'for good'} |\n"
