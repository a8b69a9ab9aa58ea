"""``tandem tenant``: who may have runs here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli import audit, leaving, render, tenants
from cli.errors import BadArgument, CommandError, Exit, NotFound
from cli.options import Context, Listed
from contract import names


def tenant(
    context: Context,
    action: Annotated[Listed, typer.Argument(metavar="add|list|remove", help="What to do.")],
    name: Annotated[str | None, typer.Argument(help="The tenant; not for list.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="remove: stop its runs, take its models and its API keys away, too.")
    ] = False,
) -> None:
    """Add a team with roles and a key of its own ($1 a month), list them, or remove one; its data stays."""
    if action is Listed.list:
        _list(context)
        return
    if name is None:
        raise BadArgument(f"Which tenant? {action.value} needs a name.", f"tandem tenant {action.value} acme")
    name = names.check_name("tenant", name)
    if action is Listed.add:
        _add(context, name)
    else:
        _remove(context, name, force)


def _add(context: Context, name: str) -> None:
    made = tenants.add(context.account, name)
    _tell(context, name, "was added, or brought up to date")
    runs = tenants.hand_in(context.account, name)
    context.out.document({**asdict(made), "runs": runs})
    context.out.show(f"{name} has its roles and its key.", f"  key     {made.key}", f"  policy  {made.policy}")
    context.out.show("Attach that policy to its people: they may upload, and read what is theirs.")
    if runs:
        context.out.show(f"Uploads that were here before start now: {', '.join(runs)}.")


def _list(context: Context) -> None:
    found = tenants.find_all(context.account)
    context.out.document([asdict(each) for each in found])
    if not found:
        context.out.show("There is no tenant yet. Add one with: tandem tenant add NAME")
        return
    rows = ((each.tenant, each.added[:16].replace("T", " "), each.stack, each.key) for each in found)
    context.out.show(render.table(("tenant", "added", "stack", "key"), rows))


def _remove(context: Context, name: str, force: bool) -> None:
    account = context.account
    if name not in {each.tenant for each in tenants.find_all(account)}:
        raise NotFound(f"There is no tenant {name!r}.", "`tandem tenant list` lists them.")
    in_use = leaving.uses(account, name)
    if in_use and not force:
        refused = CommandError(
            f"{name} is in use: " + ", ".join(f"{item.kind} {item.name}" for item in in_use) + ".",
            f"Wait for its runs and take its models out of service, or: tandem tenant remove {name} --force",
        )
        refused.code = Exit.REFUSED
        raise refused
    _tell(context, name, "is removed")  # before it is, and so again where that was cut off
    removed = leaving.remove(account, name, context.out.say)
    context.out.document({"tenant": name, "removed": [asdict(item) for item in removed]})
    context.out.show(f"{name} has no roles any more. Its uploads, artifacts, versions of models and key stay;")
    context.out.show(f"the key costs $1 a month, and opens them: tandem tenant add {name} gives it back.")


def _tell(context: Context, name: str, what: str) -> None:
    audit.tell(context.account, names.EVENT_TENANT_CHANGED, {"tenant": name, "project": "", "what": what})
