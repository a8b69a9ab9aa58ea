"""The options that every command takes, and the context it gets for them."""

from __future__ import annotations

import functools
import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.errors import Exit, explain
from cli.render import Output

if TYPE_CHECKING:
    from cli.aws import Account

Project = Annotated[str, typer.Argument(metavar="TENANT/PROJECT", help="The project.")]
"""The argument of commands that are about one project."""
Version = Annotated[int, typer.Argument(help="The version; `tandem models` lists them.")]
"""The argument of commands that are about one of its versions."""


class Listed(StrEnum):
    """What commands do with things that somebody adds and removes: the argument ``add|list|remove``."""

    add = "add"
    list = "list"
    remove = "remove"


PANEL = "Everywhere"
Profile = Annotated[str | None, typer.Option(help="Profile of the AWS configuration.", rich_help_panel=PANEL)]
Region = Annotated[str | None, typer.Option(help="AWS region.", rich_help_panel=PANEL)]
Endpoint = Annotated[
    str | None,
    typer.Option(
        help="Another AWS endpoint, such as the laptop cloud's; else AWS_ENDPOINT_URL's.", rich_help_panel=PANEL
    ),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.", rich_help_panel=PANEL)]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options as given; None takes what the environment says."""

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    json: bool = False

    def over(self, outer: Options) -> Options:
        """Return these, and ``outer``'s where these say nothing."""
        return Options(
            profile=self.profile or outer.profile,
            region=self.region or outer.region,
            endpoint_url=self.endpoint_url or outer.endpoint_url,
            json=self.json or outer.json,
        )


class Context:
    """What a command works with: the account and where its words go."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.out = Output(json=options.json)

    @functools.cached_property
    def account(self) -> Account:
        """The account and region that the options choose; no call is made before it is used."""
        from cli.aws import Account

        return Account(profile=self.options.profile, region=self.options.region, endpoint_url=self.options.endpoint_url)


_NAMES = {"profile": Profile, "region": Region, "endpoint_url": Endpoint, "json": Json}


def remember(
    ctx: typer.Context,
    profile: Profile = None,
    region: Region = None,
    endpoint_url: Endpoint = None,
    json: Json = False,
) -> None:
    """Data in a bucket becomes a better model in production: on AWS, and the same on a laptop."""
    ctx.obj = Options(profile=profile, region=region, endpoint_url=endpoint_url, json=json)


def with_options(command: Callable[..., int | None]) -> Callable[..., None]:
    """Return ``command`` for typer: with the common options, and ending in its exit code.

    Args:
        command: takes a :class:`Context` first, then its own parameters;
            returns its exit code (None is 0).
    """
    own = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def run(ctx: typer.Context, **values: Any) -> None:
        given = Options(**{name: values.pop(name) for name in _NAMES})
        raise typer.Exit(_run(command, given.over(ctx.find_root().obj or Options()), values))

    keyword = inspect.Parameter.KEYWORD_ONLY
    first = inspect.Parameter("ctx", keyword, annotation=typer.Context)
    mine = [parameter.replace(kind=keyword) for parameter in list(own.parameters.values())[1:]]
    common = [
        inspect.Parameter(name, keyword, default=False if name == "json" else None, annotation=annotation)
        for name, annotation in _NAMES.items()
    ]
    run.__signature__ = inspect.Signature([first, *mine, *common])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (first, *mine, *common)}
    del run.__wrapped__
    return run


def _run(command: Callable[..., int | None], options: Options, values: dict[str, Any]) -> int:
    context = Context(options)
    try:
        return int(command(context, **values) or Exit.GOOD)
    except KeyboardInterrupt:
        context.out.error("Interrupted.", code=Exit.INTERRUPTED)
        return Exit.INTERRUPTED
    except typer.Exit:
        raise
    except BrokenPipeError:  # the reader of our output went away (`tandem runs | head`)
        sys.stderr.close()
        return Exit.GOOD
    except Exception as error:
        told = explain(error)
        if told is None:
            context.out.error("".join(traceback.format_exception(error)), "This is a bug in Tandem.", code=Exit.BUG)
            return Exit.BUG
        context.out.error(told.message, told.fix, code=told.code)
        return told.code
