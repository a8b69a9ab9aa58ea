"""``tandem deploy``: the stacks, from the templates that the CDK synthesises."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated

import typer

from cli import tenants
from cli.children import Child, end_on_signals
from cli.options import Context


def deploy(
    context: Context,
    wheels: Annotated[
        bool, typer.Option(help="Bring the training container's extra packages along; a laptop has them installed.")
    ] = True,
) -> None:
    """Deploy the application. On AWS, `make cdk ARGS="deploy --all"` shows changes before it makes them."""
    end_on_signals()
    arguments = [] if wheels else ["--no-wheels"]
    with Child("infra.apply", *arguments, environment=_environment(context)) as child:
        child.wait()
    found = context.account.installation
    context.out.document(asdict(found))
    context.out.show("Deployed.", *(f"  {name:<17} {value}" for name, value in asdict(found).items()))
    for each in (one for one in tenants.find_all(context.account) if one.added):  # not one half removed
        context.out.say(f"Bringing the roles of {each.tenant} up to date")
        tenants.add(context.account, each.tenant)
    context.out.show("Add a team with: tandem tenant add TENANT")
    context.out.show(f"Upload to s3://{found.data_bucket}/TENANT/PROJECT/inbox/, or use tandem submit.")


def _environment(context: Context) -> dict[str, str]:
    """Return the common options as the variables that any AWS client reads.

    A chosen endpoint is that of every service: one that the environment names for a
    single service would send half of the application into another account.
    """
    options, endpoint = context.options, context.account.endpoint_url
    given = {
        "AWS_PROFILE": options.profile,
        "AWS_REGION": options.region,
        "AWS_DEFAULT_REGION": options.region,
        "AWS_ENDPOINT_URL": endpoint,
    }
    if endpoint:
        given |= {name: endpoint for name in os.environ if name.startswith("AWS_ENDPOINT_URL_")}
        given["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = "false"
    return {name: value for name, value in given.items() if value}
