"""``tandem demo``: an upload becomes a served model, on this machine."""

from __future__ import annotations

import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import ending, laptop, ledger, render, tenants
from cli.aws import Account
from cli.children import STARTS_FROM, Child, end_on_signals
from cli.commands.predict import ask
from cli.commands.submit import send
from cli.errors import CommandError, Exit
from cli.options import Context, Options
from contract import keys
from contract.run import Outcome

EXAMPLE = STARTS_FROM / "examples" / "digits"
TENANT, PROJECT = "acme", "digits"
REQUIRED_ACCURACY = 0.97


def demo(
    context: Context,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the laptop cloud up afterwards.")] = False,
    root: Annotated[
        Path | None, typer.Option(help="Folder for the laptop cloud's files; by default a temporary one.")
    ] = None,
    reports: Annotated[Path, typer.Option(help="Folder for the HTML report.")] = Path(".tandem/reports"),
) -> int:
    """Start the laptop cloud, deploy into it, upload 1,797 scanned digits, and follow them to a served model."""
    end_on_signals()
    started = time.monotonic()
    with _folder(context, root, keep) as folder:
        context.out.say("Starting the laptop cloud")
        with laptop.running(folder, port=0, keep=keep) as cloud:
            laptop.use(cloud.environment)
            context = Context(Options(json=context.options.json))  # --profile and --region are for real accounts
            _deploy(context, folder)
            document = _run(context)
            result = _result(context, document, reports, started)
    _show(context, result, document)
    if keep:
        _tell_how_to_go_on(context, cloud)
    context.out.document(result)
    return _exit_code(context, result)


@contextmanager
def _folder(context: Context, root: Path | None, keep: bool) -> Iterator[Path]:
    """Give the laptop cloud's folder; a temporary one is removed, unless it stays up or its logs are needed."""
    folder = root or Path(tempfile.mkdtemp(prefix="tandem-demo-"))
    needed = keep or root is not None
    try:
        yield folder
    except KeyboardInterrupt:
        needed = root is not None
        raise
    except Exception:
        needed = True
        context.out.say(f"The logs are in {folder}.")
        raise
    finally:
        if not needed:
            shutil.rmtree(folder, ignore_errors=True)


def _deploy(context: Context, folder: Path) -> None:
    context.out.say("Deploying the stacks")
    with Child("infra.apply", "--no-wheels", log=folder / "deploy.log") as child:
        child.wait()
    tenants.add(context.account, TENANT)


def _run(context: Context) -> dict[str, Any]:
    """Upload the digits and follow the run; return run.json."""
    path, config = EXAMPLE / "digits.zip", EXAMPLE / "project.toml"
    run = send(context.account, path, TENANT, PROJECT, config if config.is_file() else None)
    context.out.say(f"Uploaded {path.name}, {render.size(path.stat().st_size)} of scanned digits")
    return ending.follow_to_document(context, run, f"{TENANT}/{PROJECT}  run {run}")


def _result(context: Context, document: dict[str, Any], reports: Path, started: float) -> dict[str, Any]:
    evaluation = document.get("evaluation") or {}
    expected = (document.get("plan") or {}).get("expected") or {}
    prediction = _predict(context.account) if document["outcome"] == Outcome.DEPLOYED else None
    return {
        "outcome": document["outcome"],
        "accuracy": (evaluation.get("metrics") or {}).get("accuracy"),
        "seconds": round(time.monotonic() - started, 1),
        "usd_expected": expected.get("usd"),
        "usd_actual": document.get("usd"),
        "report": str(_save_report(context.account, document, reports)),
        "prediction": prediction,
    }


def _predict(account: Account) -> dict[str, Any]:
    """Ask the endpoint about a scan that is not in the upload; its file is named after its digit."""
    scan = EXAMPLE / "held_out" / "3.png"
    answer = ask(account, TENANT, PROJECT, scan)
    label, probabilities = answer["predictions"][0]["label"], answer["predictions"][0]["probabilities"]
    return {
        "file": str(scan.relative_to(STARTS_FROM)),
        "truth": scan.stem,
        "label": label,
        "probability": probabilities[label],
        "endpoint": answer["endpoint"],
    }


def _save_report(account: Account, document: dict[str, Any], reports: Path) -> Path:
    run = ledger.get_run(account, document["run"])
    body = ledger.read(account, run.prefix + keys.REPORT)
    if body is None:
        raise CommandError(f"Run {run.run} was settled without a report.", f"tandem logs {run.run} 'Settle run'")
    reports.mkdir(parents=True, exist_ok=True)
    path = (reports / f"{run.run}.html").resolve()
    path.write_bytes(body)
    return path


def _show(context: Context, result: dict[str, Any], document: dict[str, Any]) -> None:
    ending.show(context, document, hint=False)
    prediction = result["prediction"]
    if prediction:
        context.out.show(
            f"  {prediction['file']} is a {prediction['label']} ({prediction['probability']:.1%}), says the endpoint;"
            f" it is a {prediction['truth']}."
        )
    context.out.show(f"  Report: {result['report']}", f"  {render.seconds(result['seconds'])} in all.")


def _tell_how_to_go_on(context: Context, cloud: laptop.Laptop) -> None:
    context.out.show("", f"The laptop cloud stays up at {cloud.endpoint_url}. To use it:")
    context.out.show(f"  . {shlex.quote(str(cloud.exports))}")
    context.out.show(f"To stop it: kill {cloud.child.process.pid}")


def _exit_code(context: Context, result: dict[str, Any]) -> int:
    if result["outcome"] != Outcome.DEPLOYED:
        return Exit.of(result["outcome"]) or Exit.FAILED
    if result["accuracy"] < REQUIRED_ACCURACY:
        context.out.say(f"The accuracy {result['accuracy']:.4f} is below {REQUIRED_ACCURACY}.", style="red")
        return Exit.FAILED
    return Exit.GOOD
