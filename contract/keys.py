"""Where things are in S3. The two buckets: data (people's) and artifacts (the pipeline's)."""

from __future__ import annotations

import re

from contract.errors import InvalidUpload

BATCH = "batch"  # name of the folder in both buckets
INBOX = "inbox/"  # below <tenant>/<project>/ in the data bucket

# --- data bucket ---


def project_config(tenant: str, project: str) -> str:
    """Return the key of project.toml."""
    return f"{tenant}/{project}/project.toml"


def salt(tenant: str) -> str:
    """Return the key of the tenant's salt (32 random bytes) for keyed hashes."""
    return f"{tenant}/.salt"


def inbox(tenant: str, project: str) -> str:
    """Return the prefix whose new objects start runs."""
    return f"{tenant}/{project}/{INBOX}"


def feedback(tenant: str, project: str) -> str:
    """Return the prefix of ground truth that came later."""
    return f"{tenant}/{project}/feedback/"


def batch_file(tenant: str, project: str, file: str) -> str:
    """Return the key of a file that the champion answers when it arrives."""
    return f"{tenant}/{project}/{BATCH}/{file}"


_INBOX = re.compile(r"(?P<tenant>[^/]+)/(?P<project>[^/]+)/inbox/(?P<rest>.+)", re.DOTALL)


def parse_inbox(key: str) -> tuple[str, str, str] | None:
    """Split an inbox key into tenant, project and the path under inbox/; None for any other key."""
    match = _INBOX.fullmatch(key)
    return (match["tenant"], match["project"], match["rest"]) if match else None


def starts_run(rest: str) -> bool:
    """Say whether an object at ``inbox/<rest>`` starts a run.

    A file directly in the inbox does; a batch folder does through its
    manifest.json only. Folder markers (``.../``) never do.
    """
    if rest.endswith("/"):
        return False
    return "/" not in rest or (rest.count("/") == 1 and rest.endswith("/manifest.json"))


def parse_uri(uri: str) -> tuple[str, str]:
    """Split ``s3://bucket/key``.

    Raises:
        InvalidUpload: when it is not of that form.
    """
    match = re.fullmatch(r"s3://([a-z0-9.-]{3,63})/(.+)", uri, re.DOTALL)
    if not match:
        raise InvalidUpload(f"{uri!r} is not an object's address; expected s3://<bucket>/<key>")
    return match[1], match[2]


# --- artifacts bucket; each function takes the run's prefix ---


def run_prefix(tenant: str, project: str, run: str) -> str:
    """Return the prefix of everything a run writes, ending with a slash."""
    return f"{tenant}/{project}/runs/{run}/"


def run_of(uri: str) -> tuple[str, str, str]:
    """Return tenant, project and run of an address below a run's prefix.

    Raises:
        ValueError: when it is not of that form.
    """
    match = re.match(r"s3://[^/]+/([^/]+)/([^/]+)/runs/([^/]+)/", uri)
    if not match:
        raise ValueError(f"{uri!r} is not below a run's prefix; expected s3://<bucket>/<tenant>/<project>/runs/<run>/")
    return match[1], match[2], match[3]


def capture_prefix(tenant: str, project: str) -> str:
    """Return the prefix of the requests and answers that a project's endpoint captures."""
    return f"{tenant}/{project}/capture/"


ASYNC_REQUESTS, ASYNC_ANSWERS, ASYNC_FAILURES = "requests/", "answers/", "failures/"  # below async_prefix


def async_prefix(tenant: str, project: str) -> str:
    """Return the prefix of what an asynchronous endpoint is asked and answers."""
    return f"{tenant}/{project}/async/"


def golden_prefix(tenant: str, project: str, model: str) -> str:
    """Return the prefix of the golden samples that a transform job answers before a version is champion."""
    return f"{tenant}/{project}/{BATCH}/golden/{model}/"


def edge_prefix(tenant: str, project: str, version: int | str) -> str:
    """Return the prefix of a version's bundle for devices."""
    return f"{tenant}/{project}/edge/v{version}/"


EDGE_BUNDLE, EDGE_RECIPE = "bundle.zip", "recipe.json"  # below edge_prefix

BATCH_INPUT = "input/"  # below <tenant>/<project>/batch/<file>/<id>/ and golden_prefix: what is answered
BATCH_ANSWERS = "answers/"  # <file>.out

REQUEST = "request.json"
UPLOAD = "upload/"  # the upload's object versions, copied so that nothing changes under the run
REPLAY = "replay/"  # rows of this upload and of those before it, as they were uploaded, for later runs to replay
REPLAY_STEM = "_replay"  # name of its file, also below upload/, where no upload's copy can have it
UPLOAD_FILES = "upload.json"  # a list: each file's source key and version, its size, its name below upload/
SOURCE = "source/"  # a script's own sources, copied as they were
PLAN = "plan.json"  # what Plan compute decided
DATASET = "dataset/"  # train/ validation/ test/ (shards), originals/ and schema.json
DATASET_ORIGINALS = "dataset/originals/"  # the test rows as they were uploaded, which the champion is asked
DATASET_SCHEMA = "dataset/schema.json"
DATASET_REPORT = "dataset_report.json"
QUARANTINE = "quarantine/"
CHECKPOINTS = "checkpoints/"
TRAIN = "train/"  # SageMaker writes <job>/output/model.tar.gz below it
EVALUATE = "evaluate/"  # what Evaluate makes: the four below
EVALUATION_REPORT = "evaluate/evaluation_report.json"
EVALUATION_PAIRS = "evaluate/pairs.json"  # the report's, apart: values of rows, which no execution may keep
MODEL = "evaluate/model.tar.gz"
GOLDEN = "evaluate/golden.json"
PACKAGE = "package.json"  # what the registry was asked to keep of the model: from it a lost version is registered again
RUN_DOCUMENT = "run.json"
REPORT = "report.html"
FORGOTTEN = "forgotten.json"  # which erasure took the run's rows, and when
TENSORBOARD = "tensorboard/"  # an event file, where the installation wants them

SPLITS = ("train", "validation", "test")

# --- inside a model archive ---
MODEL_ONNX = "model.onnx"
MODEL_WEIGHTS = "weights.safetensors"
MODEL_MANIFEST = "manifest.json"
MODEL_METRICS = "metrics.jsonl"  # one line an epoch, as training measured it
MODEL_SAVED = "saved_model"  # a folder; this and the next only of recipes that Keras trains
MODEL_TFLITE = "model.tflite"
MODEL_REFERENCE = "reference.safetensors"  # from training to Evaluate: rows, and what the trained network answers
