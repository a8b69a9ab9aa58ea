"""The CDK app: five stacks, that of the API where it is wanted.

python -m infra.app [--output cdk.out] [--no-wheels] [--context KEY=VALUE ...]    synthesises
cdk deploy --all                                                                  calls the same, by cdk.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from contract import names
from infra import nist, suppressions
from infra.key import EncryptedLogs
from infra.network import PrivateFunctions
from infra.settings import Settings
from infra.stacks.api import PublicApi
from infra.stacks.operations import Operations
from infra.stacks.pipeline import Pipeline
from infra.stacks.serving import Serving
from infra.stacks.storage import Storage

NO_WHEELS: Mapping[str, Any] = {"aws:cdk:bundling-stacks": []}
"""CDK's own context for: bundle nothing."""
CDK_JSON = Path(__file__).parents[1] / "cdk.json"


def build(*, outdir: str | None = None, context: Mapping[str, Any] | None = None, validate: bool = True) -> cdk.App:
    """Return the app, ready to synthesise.

    Args:
        outdir: folder of the cloud assembly; default what the CDK command line says.
        context: overrides of cdk.json's context and of the CDK command line's.
        validate: whether CDK checks the templates against CloudFormation's schemas (two seconds).
    """
    given = json.loads(CDK_JSON.read_text())
    app = cdk.App(
        outdir=outdir,
        context=given["context"],
        post_cli_context=context,  # the CDK command line sets some of these keys itself
        builtin_cloud_formation_validation=validate,
    )
    settings = Settings.from_context(app.node)
    storage = Storage(app, names.STACK_STORAGE, settings=settings)
    serving = Serving(app, names.STACK_SERVING, storage=storage, settings=settings)
    api = PublicApi(app, names.STACK_API, storage=storage, settings=settings) if settings.api else None
    pipeline = Pipeline(app, names.STACK_PIPELINE, storage=storage, serving=serving, api=api, settings=settings)
    operations = Operations(
        app, names.STACK_OPERATIONS, storage=storage, serving=serving, pipeline=pipeline, api=api, settings=settings
    )
    for stack in filter(None, (storage, serving, api, pipeline, operations)):
        stack.termination_protection = settings.keep_data
    cdk.Tags.of(app).add(names.TAG_APP, names.APP)
    cdk.Aspects.of(app).add(EncryptedLogs(storage.key))
    if storage.network:
        cdk.Aspects.of(app).add(PrivateFunctions(storage.network))
    suppressions.explain(storage=storage, serving=serving, pipeline=pipeline, operations=operations, api=api)
    nist.explain(app, storage=storage, api=api)
    return app


def parser(module: str, does: str) -> argparse.ArgumentParser:
    """Return the parser of a program that synthesises; its options are ``context`` and ``no_wheels``."""
    made = argparse.ArgumentParser(prog=f"python -m {module}", description=does)
    made.add_argument("--no-wheels", action="store_true", help="leave the wheels out, as for a laptop or a check")
    made.add_argument("--context", action="append", default=[], metavar="KEY=VALUE", type=_pair, help="CDK context")
    return made


def context(options: argparse.Namespace) -> dict[str, Any]:
    """Return the context that the options of :func:`parser` ask for."""
    return {**dict(options.context), **(NO_WHEELS if options.no_wheels else {})}


def _pair(text: str) -> tuple[str, str]:
    key, given, value = text.partition("=")
    if not given:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def main() -> None:
    """Synthesise."""
    options = parser("infra.app", "Synthesise Tandem's stacks.")
    options.add_argument("--output", help="folder of the cloud assembly; default what the CDK command line says")
    given = options.parse_args()
    build(outdir=given.output, context=context(given)).synth()


if __name__ == "__main__":
    main()
