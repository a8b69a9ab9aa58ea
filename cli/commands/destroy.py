"""``tandem destroy``: removes everything, so that nothing bills on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli import removal, render
from cli.errors import BadArgument, NotDeployed
from cli.options import Context
from cli.removal import Item


def destroy(
    context: Context,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="The buckets, the ledger and the model registry too, for good.")
    ] = False,
) -> None:
    """Remove the application: endpoints and all else that was made at run time, then the stacks."""
    account = context.account
    stacks = account.stacks()
    if not stacks:
        raise NotDeployed("Tandem is not deployed here, so there is nothing to remove.")
    running = list(removal.find_running(account))
    finders = (
        removal.find_scaling, removal.find_endpoints, removal.find_functions, removal.find_alarms, removal.find_keys,
    )  # fmt: skip
    made = [item for find in finders for item in find(account)]
    registry = list(removal.find_registry(account))
    data = [*removal.find_data(account), *removal.find_tenants_keys(account)]
    base = [*removal.find_people(account), *removal.find_tenants(account)]
    base += [Item(kind="stack", name=name, arn=stack.get("StackId", "")) for name, stack in reversed(stacks.items())]
    doomed = [*running, *made, *(registry if delete_data else []), *base, *(data if delete_data else [])]
    kept = [] if delete_data else [*registry, *data]
    _confirm(context, doomed, kept, yes)
    removal.remove(account, doomed, context.out.say)
    context.out.document({"removed": [asdict(item) for item in doomed], "kept": [asdict(item) for item in kept]})
    context.out.show("Removed." + (" Kept: " + ", ".join(item.name for item in kept) + "." if kept else ""))


def _confirm(context: Context, doomed: list[Item], kept: list[Item], yes: bool) -> None:
    rows = [*(("remove", item.kind, item.name) for item in doomed), *(("keep", item.kind, item.name) for item in kept)]
    context.out.show(render.table(("", "what", "name"), rows))
    if yes:
        return
    if context.options.json or not context.out.console.is_terminal:
        raise BadArgument("destroy asks before it removes, and nobody is there to answer.", "Add --yes.")
    if not typer.confirm(f"Remove these {len(doomed)} things from {context.account.endpoint_url or 'AWS'}?"):
        raise typer.Exit(0)
