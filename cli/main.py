"""The ``tandem`` command. This file only composes; each command is a file of ``commands/``."""

from __future__ import annotations

import typer

from cli.commands.approve import approve, reject
from cli.commands.audit import audit
from cli.commands.batch import batch
from cli.commands.budget import budget
from cli.commands.chaos import chaos
from cli.commands.cost import cost
from cli.commands.demo import demo
from cli.commands.deploy import deploy
from cli.commands.destroy import destroy
from cli.commands.doctor import doctor
from cli.commands.edge import edge
from cli.commands.export import export
from cli.commands.forget import forget
from cli.commands.key import key
from cli.commands.logs import logs
from cli.commands.models import models
from cli.commands.new import new
from cli.commands.predict import predict
from cli.commands.prices import prices
from cli.commands.promote import promote
from cli.commands.replay import replay
from cli.commands.report import report
from cli.commands.reproduce import reproduce
from cli.commands.restore import restore
from cli.commands.resume import resume
from cli.commands.rollback import rollback
from cli.commands.runs import runs
from cli.commands.sleep import sleep, wake
from cli.commands.submit import submit
from cli.commands.tenant import tenant
from cli.commands.up import up
from cli.commands.watch import watch
from cli.errors import MEANINGS
from cli.options import remember, with_options

COMMANDS = {
    "Start": (demo, doctor, up, deploy, tenant, chaos),
    "Work": (new, submit, runs, watch, logs, report, resume),
    "Serve": (models, approve, reject, reproduce, predict, batch, key, promote, rollback, sleep, wake),
    "Money": (cost, budget, prices),
    "Operate": (audit, restore),
    "Elsewhere": (replay, export, edge),
    "End": (forget, destroy),
}

EXIT_CODES = "Exit codes: " + "; ".join(f"{int(code)} {meaning}" for code, meaning in MEANINGS.items()) + "."

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, epilog=EXIT_CODES)
app.callback()(remember)
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(command.__name__, rich_help_panel=panel)(with_options(command))


def main() -> None:
    """Run the command line."""
    app(prog_name="tandem")


if __name__ == "__main__":
    main()
