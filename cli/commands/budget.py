"""``tandem budget``: what a tenant may spend a month."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Annotated

import typer

from cli import audit, spending
from cli.errors import BadArgument
from cli.options import Context
from cli.render import dollars
from contract import names

DEFAULT = "default"


def budget(
    context: Context,
    tenant: Annotated[str, typer.Argument(help="The tenant.")],
    amount: Annotated[
        str | None,
        typer.Argument(help="US dollars a month from now on, or 'default' for the installation's; by default shows."),
    ] = None,
) -> None:
    """Show or set what a tenant's runs may cost a month. A run that could cost more than is left is refused."""
    tenant = names.check_name("tenant", tenant)
    if amount is not None:
        spending.set_budget(context.account, tenant, None if amount == DEFAULT else _usd(amount))
        what = f"may spend {amount if amount == DEFAULT else dollars(_usd(amount))} a month"
        audit.tell(context.account, names.EVENT_BUDGET_CHANGED, {"tenant": tenant, "project": "", "what": what})
    now = spending.month(context.account, tenant, spending.this_month())
    context.out.document({**asdict(now), "left": now.left})
    whose = "" if now.own else ", the installation's default"
    context.out.show(
        f"{tenant} may spend {dollars(now.budget)} a month{whose}. In {now.month}: {dollars(now.spent)} spent, "
        f"{dollars(now.reserved)} reserved by runs in progress, {dollars(max(0.0, now.left))} left."
    )


def _usd(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1e9:
        raise BadArgument(f"{text!r} is no amount.", "Give US dollars a month, such as 50 or 12.5, or 'default'.")
    return value
