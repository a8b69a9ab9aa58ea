"""The reference page of the command line, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from cli.errors import MEANINGS
from cli.main import COMMANDS, app
from cli.options import PANEL


def command_line() -> str:
    """Return the page as Markdown."""
    commands: Any = typer.main.get_command(app)
    lines = ["# The command line", "", "Every command takes these options too:", ""]
    lines += [_option(option) for option in commands.params if option.rich_help_panel == PANEL]
    for panel, functions in COMMANDS.items():
        lines += ["", f"## {panel}"]
        for function in functions:
            lines += _command(commands.commands[function.__name__])
    lines += ["", "## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {int(code)} | {meaning} |" for code, meaning in MEANINGS.items()]
    return "\n".join(lines) + "\n"


def _command(command: Any) -> Iterator[str]:
    own = [param for param in command.params if getattr(param, "rich_help_panel", None) != PANEL]
    arguments = [param for param in own if param.param_type_name == "argument"]
    options = [param for param in own if param.param_type_name == "option" and param.name != "help"]
    usage = " ".join(["tandem", command.name, *map(_argument, arguments)])
    yield from ("", f"### `{usage}`", "", command.help, "")
    yield from (f"- `{_argument(param)}`: {param.help}" for param in arguments)
    yield from map(_option, options)


def _argument(param: Any) -> str:
    name = param.metavar or param.name.upper()
    return name if param.required else f"[{name}]"


def _option(param: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    required = " Required." if param.required else ""
    shown = not isinstance(param.default, bool) and param.default not in (None, "")
    return f"- {names}: {param.help}{required}{f' Default: `{param.default}`.' if shown else ''}"
