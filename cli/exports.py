"""What `tandem export` writes: a version's files for each place outside of AWS, and how to run them there."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cli.errors import BadArgument, CommandError
from contract import bundle, keys

ROOT = Path(__file__).parents[1]
"""Where the server's source is."""
BUNDLE, RECIPE, SERVICE = keys.EDGE_BUNDLE, keys.EDGE_RECIPE, "inference-service.json"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A version to write, and where.

    Args:
        archive: model.tar.gz.
        golden: golden.json.
        folder: where its files will be.
        image: where the image will be pushed (kserve).
        uri: where the bundle's object will be (edge).
    """

    tenant: str
    project: str
    version: int
    archive: bytes
    golden: bytes
    folder: Path
    image: str = ""
    uri: str = ""


@dataclass(frozen=True, kw_only=True)
class Export:
    """Files by path, and the command that runs them."""

    files: dict[str, bytes]
    run: str


def docker(asked: Asked) -> Export:
    """A build context, the model included."""
    build = shlex.join(["docker", "build", "-t", asked.project, str(asked.folder)])
    return Export(
        files=bundle.files(ROOT, asked.archive, asked.golden), run=f"{build} && docker run -p 8080:8080 {asked.project}"
    )


def kserve(asked: Asked) -> Export:
    """The same with an InferenceService.

    Raises:
        BadArgument: without an image's name.
    """
    if not asked.image:
        raise BadArgument("kserve needs an image's name.", "Say where you will push it: --image REGISTRY/NAME:TAG")
    service = bundle.inference_service(asked.tenant, asked.project, asked.version, asked.image)
    folder, image = shlex.quote(str(asked.folder)), shlex.quote(asked.image)
    return Export(
        files=docker(asked).files | {SERVICE: _json(service)},
        run=f"docker build -t {image} {folder} && docker push {image} && kubectl apply -f {folder}/{SERVICE}",
    )


def bundled(archive: bytes, golden: bytes) -> bytes:
    """Return bundle.zip of a version."""
    return bundle.zipped(bundle.files(ROOT, archive, golden))


def edge(asked: Asked) -> Export:
    """A bundle, and the recipe of a Greengrass component that serves it."""
    packed = bundled(asked.archive, asked.golden)
    uri = asked.uri or f"s3://bucket/{asked.tenant}/{asked.project}/edge/{BUNDLE}"
    recipe = bundle.component(asked.tenant, asked.project, asked.version, packed, uri)
    run = shlex.join(["tandem", "edge", "run", str(asked.folder / BUNDLE)])
    return Export(files={BUNDLE: packed, RECIPE: _json(recipe)}, run=run)


def tensorflow(asked: Asked) -> Export:
    """A model base path of TensorFlow Serving.

    Raises:
        CommandError: for a version without a SavedModel.
    """
    saved, base = f"{keys.MODEL_SAVED}/", f"{asked.project}/{asked.version}/"
    files = {
        base + name.removeprefix(saved): content
        for name, content in bundle.members(asked.archive)
        if name.startswith(saved)
    }
    if not files:
        fix = "Recipes keras and keras_tabular make one; what others make runs by docker, kserve and edge."
        raise CommandError(f"Version {asked.version} has no SavedModel.", fix)
    path = asked.folder.resolve() / asked.project
    return Export(files=files, run=f"tensorflow_model_server --model_name={asked.project} --model_base_path={path}")


KINDS: dict[str, Callable[[Asked], Export]] = {
    "docker": docker,
    "kserve": kserve,
    "edge": edge,
    "tensorflow": tensorflow,
}


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()
