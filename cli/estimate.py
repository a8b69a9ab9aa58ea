"""What a run could cost at most, before anything is uploaded: the deployed Plan compute says it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli import render
from cli.aws import Account
from cli.errors import CommandError, Exit
from cli.options import Context
from cli.render import dollars
from contract import attempts, keys
from contract.request import Upload, build_request

RUN = "dry-run"


def worst_case(account: Account, path: Path, tenant: str, project: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return Plan compute's answer for a file that nobody has seen yet."""
    upload = Upload(
        bucket=account.installation.data_bucket,
        key=keys.inbox(tenant, project) + path.name,
        version_id=RUN,
        bytes=path.stat().st_size,
        files=1,
    )
    request = build_request(run=RUN, console={"tenant": tenant, "project": project}, project_toml=config, upload=upload)
    body = json.dumps({"run": request.to_dict()}).encode()
    answer = account.client("lambda").invoke(FunctionName=_planner(account), Payload=body)
    told = json.loads(answer["Payload"].read())
    if "FunctionError" in answer:
        raise CommandError(f"Plan compute failed: {told.get('errorMessage', told)}")
    return dict(told)


def _planner(account: Account) -> str:
    """Return the function that the deployed definition's own state calls."""
    arn = account.installation.pipeline_arn
    machine = account.client("stepfunctions").describe_state_machine(stateMachineArn=arn)
    return str(json.loads(machine["definition"])["States"][attempts.PLAN]["Arguments"]["FunctionName"])


def show(context: Context, plan: Mapping[str, Any]) -> int:
    """Show the worst case line by line, and whether such a run would be accepted."""
    context.out.document({name: plan[name] for name in ("accepted", "reasons", "waits", "worst_case", "budget_usd")})
    worst = plan["worst_case"] or {"usd": None, "lines": []}
    cells = (
        (
            line["state"],
            f"{line['hosts']} x {line['instance']}",
            render.seconds(line["seconds"]),
            line["attempts"],
            dollars(line["usd"]),
        )
        for line in worst["lines"]
    )
    if worst["lines"]:
        context.out.show(render.table(("state", "machines", "longest", "times", "at most"), cells))
        context.out.show(f"At most {dollars(worst['usd'])}; budget.max_usd_per_run = {dollars(plan['budget_usd'])}.")
    for reason in plan["reasons"]:
        context.out.show(f"Such a run would be refused: {reason}.")
    if plan["waits"]:
        context.out.show(f"Such a run would wait now: other runs hold {plan['waits']}.")
    return Exit.GOOD if plan["accepted"] else Exit.REFUSED
