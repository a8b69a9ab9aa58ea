"""``tandem prices``: the price list that worst cases and costs are computed with."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from cli import pricelist
from cli.errors import CommandError
from cli.options import Context
from contract.prices import load_prices


class Action(StrEnum):
    """What to do."""

    show = "show"
    refresh = "refresh"


def prices(
    context: Context,
    action: Annotated[Action, typer.Argument(metavar="show|refresh", help="What to do.")] = Action.show,
) -> None:
    """Show how old the price list is, or read today's rates from AWS's Price List API into it."""
    if action is Action.refresh:
        _refresh(context)
        return
    now = load_prices()
    context.out.document({"date": now.date, "region": now.region, "source": now.source, "training": dict(now.training)})
    context.out.show(f"Prices of {now.region}, {now.date}: {now.source}.")


def _refresh(context: Context) -> None:
    region = context.options.region or load_prices().region
    found = pricelist.rates(pricelist.products(pricelist.client(context.options.profile), region))
    snapshot = json.loads(pricelist.SNAPSHOT.read_text())
    try:
        fresh, missing = pricelist.refreshed(snapshot, found, region=region, today=datetime.now(UTC).date())
    except ValueError as error:
        raise CommandError(f"{error}.", "Is it the code of an AWS region, such as us-east-1?") from error
    pricelist.write(fresh, pricelist.SNAPSHOT)
    tables = [(fresh[use], snapshot[use]) for use in pricelist.USES.values()]
    changed = [name for now, before in tables for name in now if now[name] != before[name]]
    context.out.document({"date": fresh["date"], "region": region, "changed": changed, "missing": missing})
    context.out.show(f"{len(changed)} rates changed; {len(missing)} were not found, and stay. Now: tandem deploy")
