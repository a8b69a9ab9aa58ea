"""Where things are in the ledger, the one DynamoDB table.

Keys ``pk`` and ``sk``, both strings. The index ``by-project`` has partition key
``project`` (``<tenant>/<project>``) and sort key ``started`` (ISO 8601, UTC);
only rows of runs carry both. The index ``by-sleep`` has the partition key ``sleep``: only champions with sleeping hours
are in it.

| row | pk | sk | attributes |
|---|---|---|---|
| run | run#<run> | run | project, started, ended, status, outcome, reasons, recipe, upload, usd, ... |
| upload | upload#<bucket>/<key>@<version> | upload | run, execution_arn, received |
| champion | project#<tenant>/<project> | champion | package_arn, version, model_uri, endpoint, target, run, since |
| lease | project#<tenant>/<project> | lease | holder, expires (seconds since 1970) |
| approval | project#<tenant>/<project> | approval#<version> | token, run, package_arn, link (sha256 of its secret) |
| batch | project#<tenant>/<project> | batch#<id> | file, status, reason, answers, version, ... |
| prediction | project#<tenant>/<project> | prediction#<id> | endpoint, answer, failure, accept, lost, ... |
| erasure | project#<tenant>/<project> | erasure#<id> | what, digest, by, started, ended, runs, versions, counts, rows |
| tuning | project#<tenant>/<project> | tuning | job, run, recipe, metric, jobs, hyperparameters, ranges, ... |
| throughput | project#<tenant>/<project> | throughput#<recipe>#<instance>#<hosts> | samples_per_second, run, measured |
| tenant | tenant#<tenant> | tenant | added (ISO 8601) |
| budget | tenant#<tenant> | budget | usd (a month) |
| month | tenant#<tenant> | month#<YYYY-MM> | committed, spent |
| charge | tenant#<tenant> | charge#<YYYY-MM>#<run> | project, charged, settled, ended |
| machines | machines | machines | held (by run, how many of each quota), version |
| quotas | machines | quotas | limits (code and limit of each quota), asked, read (seconds since 1970) |
| API key | apikey#<id> | apikey | tenant, consumer, created |

A run's row also has execution_arn and package_arn; once it was resumed, resumes (the number of the redrive that is
covered), resumed (when, ISO 8601), reserved_usd, and while it goes on the ended of before; once its rows were
forgotten, forgotten (the erasure); once a job of it was stopped because its GPUs did nothing, idle_job (the last one's
name, and why).

A champion's has configuration, of its endpoint, and in an A/B test challenger: package_arn, version, run, percent,
since; with sleeping hours sleep, sleep_timezone and held_until (when they decide again, ISO 8601); and asleep (since
when) while its endpoint is gone.

Amounts of months and charges are whole millionths of a US dollar. ``charged`` is a run's part of the month's
``committed``: its worst case while it runs, what it did cost (``settled``, a part of ``spent``) once it has ended.
``ended`` is how often its execution had been redriven before the last end that was settled, -1 before any.
"""

from __future__ import annotations

BY_PROJECT, BY_SLEEP = "by-project", "by-sleep"
PROJECT, OF_RUN = "project#", "run#"
"""How the partitions of a project's rows, and of a run's, begin."""

API_KEY, BATCH, CHAMPION, LEASE, RUN, TUNING, UPLOAD = "apikey", "batch", "champion", "lease", "run", "tuning", "upload"
PREDICTION, ERASURE = "prediction", "erasure"


def run_key(run: str) -> dict[str, str]:
    """Return the key of a run's row."""
    return {"pk": f"{OF_RUN}{run}", "sk": RUN}


def run_of(pk: str) -> str:
    """Return whose row it is, of a run's partition."""
    return pk.removeprefix(OF_RUN)


def upload_key(bucket: str, key: str, version_id: str) -> dict[str, str]:
    """Return the key of the row that makes an object version start one run only."""
    return {"pk": f"upload#{bucket}/{key}@{version_id}", "sk": UPLOAD}


def project_pk(tenant: str, project: str) -> str:
    """Return the partition of a project's rows."""
    return f"{PROJECT}{tenant}/{project}"


def project_of(pk: str) -> tuple[str, str]:
    """Return tenant and project of a project's partition."""
    tenant, _, project = pk.removeprefix(PROJECT).partition("/")
    return tenant, project


def champion_key(tenant: str, project: str) -> dict[str, str]:
    """Return the key of the row that names the version in service."""
    return {"pk": project_pk(tenant, project), "sk": CHAMPION}


def lease_key(tenant: str, project: str) -> dict[str, str]:
    """Return the key of the project's deployment lease."""
    return {"pk": project_pk(tenant, project), "sk": LEASE}


def approval_key(tenant: str, project: str, version: int) -> dict[str, str]:
    """Return the key of the row of a version whose run waits for a person."""
    return {"pk": project_pk(tenant, project), "sk": f"approval#{version}"}


def batch_key(tenant: str, project: str, batch: str) -> dict[str, str]:
    """Return the key of the row of one file that the champion answers."""
    return {"pk": project_pk(tenant, project), "sk": f"{BATCH}#{batch}"}


def prediction_key(tenant: str, project: str, number: str) -> dict[str, str]:
    """Return the key of the row of a request that waits in an asynchronous endpoint; ``expires`` is when it goes."""
    return {"pk": project_pk(tenant, project), "sk": f"{PREDICTION}#{number}"}


def erasure_key(tenant: str, project: str, erasure: str) -> dict[str, str]:
    """Return the key of the row of an erasure; its id begins with when it began."""
    return {"pk": project_pk(tenant, project), "sk": f"{ERASURE}#{erasure}"}


def tuning_key(tenant: str, project: str) -> dict[str, str]:
    """Return the key of the row that names the project's last finished tuning job."""
    return {"pk": project_pk(tenant, project), "sk": TUNING}


def throughput_key(tenant: str, project: str, recipe: str, instance: str, hosts: int) -> dict[str, str]:
    """Return the key of a measured training throughput."""
    return {"pk": project_pk(tenant, project), "sk": f"throughput#{recipe}#{instance}#{hosts}"}


TENANT, BUDGET, MONTH, CHARGE = "tenant", "budget", "month", "charge"
MICROS = 1_000_000
"""Of a US dollar: amounts are added up as whole numbers."""


def tenant_pk(tenant: str) -> str:
    """Return the partition of a tenant's rows."""
    return f"tenant#{tenant}"


def tenant_key(tenant: str) -> dict[str, str]:
    """Return the key of the row without which a tenant's runs are refused."""
    return {"pk": tenant_pk(tenant), "sk": TENANT}


def budget_key(tenant: str) -> dict[str, str]:
    """Return the key of the row that says what a tenant may spend a month."""
    return {"pk": tenant_pk(tenant), "sk": BUDGET}


def month_key(tenant: str, month: str) -> dict[str, str]:
    """Return the key of the row of what a tenant has reserved and spent in a month (``2026-11``)."""
    return {"pk": tenant_pk(tenant), "sk": f"{MONTH}#{month}"}


def charge_key(tenant: str, month: str, run: str) -> dict[str, str]:
    """Return the key of the row of a run's part of that."""
    return {"pk": tenant_pk(tenant), "sk": f"{CHARGE}#{month}#{run}"}


MACHINES_KEY = {"pk": "machines", "sk": "machines"}
"""The key of the row that says which run holds how many machines."""
QUOTAS_KEY = {"pk": "machines", "sk": "quotas"}
"""The key of the row that remembers Service Quotas for some minutes."""


def api_key_key(key_id: str) -> dict[str, str]:
    """Return the key of the row that says whose an API key is; ``key_id`` is API Gateway's id of it, not its value."""
    return {"pk": f"apikey#{key_id}", "sk": API_KEY}
