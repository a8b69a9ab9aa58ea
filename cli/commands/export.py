"""``tandem export``: a version with its server, to run anywhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli import exports, ledger
from cli.aws import split_project
from cli.errors import BadArgument
from cli.options import Context, Project, Version


class Kind(StrEnum):
    """Where it is to run."""

    docker = "docker"
    kserve = "kserve"
    tensorflow = "tensorflow"
    edge = "edge"


def export(
    context: Context,
    project: Project,
    version: Version,
    to: Annotated[
        Kind,
        typer.Option(
            help="docker: a build context. kserve: the same with an InferenceService. tensorflow: a model base path of "
            "TensorFlow Serving (Keras recipes). edge: a bundle with the recipe of a Greengrass component."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    image: Annotated[str, typer.Option(help="kserve: where you will push the image.")] = "",
    uri: Annotated[str, typer.Option(help="edge: the s3:// address that you will copy the bundle to.")] = "",
) -> None:
    """Write a version with its server to a folder, to run it outside of AWS or on a device."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise BadArgument(f"{output} is there already.", "Name a folder that is new or empty.")
    tenant, name = split_project(project)
    archive, golden = ledger.archive(context.account, tenant, name, version)
    asked = exports.Asked(
        tenant=tenant,
        project=name,
        version=version,
        archive=archive,
        golden=golden,
        folder=output,
        image=image,
        uri=uri,
    )
    made = exports.KINDS[to.value](asked)
    _write(made.files, output)
    told = {"folder": str(output.resolve()), "files": len(made.files), "run": made.run}
    context.out.document({"project": project, "version": version, **told})
    context.out.show(f"Version {version} of {project} is in {output}. Run it:\n{made.run}")


def _write(files: dict[str, bytes], folder: Path) -> None:
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
