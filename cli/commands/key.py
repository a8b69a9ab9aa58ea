"""``tandem key``: the API keys of a tenant's consumers."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from cli import api_keys, render
from cli.api_keys import Limits
from cli.errors import BadArgument
from cli.options import Context, Listed
from contract import names


class Period(StrEnum):
    """What a quota is for."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"


def key(
    context: Context,
    action: Annotated[Listed, typer.Argument(metavar="add|list|remove", help="What to do.")],
    tenant: Annotated[str, typer.Argument(help="The tenant; the key opens its projects, and no other's.")],
    consumer: Annotated[str | None, typer.Argument(help="The application that gets the key; not for list.")] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=10_000, help="add: requests a second.")] = 10,
    burst: Annotated[int, typer.Option(min=1, max=5_000, help="add: requests at once.")] = 20,
    quota: Annotated[int, typer.Option(min=0, help="add: requests in a period; 0 for any number.")] = 100_000,
    period: Annotated[Period, typer.Option(help="add: the quota's period.")] = Period.MONTH,
) -> None:
    """Give applications keys to the public API, list them, or take them away. A key is shown once, when it is made."""
    tenant = names.check_name("tenant", tenant)
    if action is Listed.list:
        _list(context, tenant)
        return
    if consumer is None:
        raise BadArgument(f"Whose key? {action.value} needs a consumer.", f"tandem key {action.value} {tenant} webshop")
    consumer = names.check_name("consumer", consumer)
    if action is Listed.remove:
        api_keys.remove(context.account, tenant, consumer)
        context.out.document({"tenant": tenant, "consumer": consumer, "removed": True})
        context.out.show(f"The key of {consumer} of {tenant} opens nothing any more.")
        return
    limits = Limits(rate=rate, burst=burst, quota=quota, period=period.value)
    value = api_keys.add(context.account, tenant, consumer, limits)
    url = context.account.outputs[names.OUTPUT_API_URL]
    context.out.document({"tenant": tenant, "consumer": consumer, "key": value, "url": url, **asdict(limits)})
    context.out.show(f"The key of {consumer} of {tenant}, which is shown this once:", f"  {value}", "")
    headers = "-H 'x-api-key: ...' -H 'content-type: application/json'"
    context.out.show(f"  curl {headers} -d @request.json {url}{tenant}/PROJECT/predict", "")
    context.out.show(f"What to send is described at {url}{tenant}/PROJECT/docs")


def _list(context: Context, tenant: str) -> None:
    found = api_keys.find_all(context.account, tenant)
    context.out.document([asdict(each) for each in found])
    if not found:
        context.out.show(f"No consumer of {tenant} has a key. Make one with: tandem key add {tenant} CONSUMER")
        return
    rows = ((each.consumer, each.created[:16].replace("T", " "), each.limits, each.id) for each in found)
    context.out.show(render.table(("consumer", "made", "limits", "id"), rows))
