"""Names within AWS's limits, and keys that cannot be confused."""

from __future__ import annotations

import re

import pytest

from contract import keys, names
from contract.errors import InvalidConfig, InvalidUpload

LONGEST = "a" * names.NAME_LIMIT


@pytest.mark.parametrize("name", ["a", "acme", "a1-b2", "0", LONGEST])
def test_good_names_are_taken(name: str) -> None:
    assert names.check_name("tenant", name) == name


@pytest.mark.parametrize("name", ["", "A", "a_b", "a--b", "-a", "a-", "a b", "a/b", "ä", "a\n", LONGEST + "a", None, 5])
def test_other_names_are_refused(name: object) -> None:
    with pytest.raises(InvalidConfig, match=r"tenant: .* is not allowed; expected 1 to 20 lower-case"):
        names.check_name("tenant", name)


def test_an_object_version_always_starts_the_same_run() -> None:
    run = names.run_for_upload("digits", "bucket", "acme/digits/inbox/a b+%🙂.zip", "v1")
    assert run == names.run_for_upload("digits", "bucket", "acme/digits/inbox/a b+%🙂.zip", "v1")
    assert run != names.run_for_upload("digits", "bucket", "acme/digits/inbox/a b+%🙂.zip", "v2")
    assert run.startswith("digits-")


@pytest.mark.parametrize("project", ["a", LONGEST, "a-b-c-d-e-f-g", "12345678-0"])
def test_a_run_fits_into_the_names_of_jobs(project: str) -> None:
    run = names.run_for_upload(project, "bucket", "key", "version")
    assert len(run) <= names.RUN_LIMIT
    assert names.NAME.fullmatch(run)


@pytest.mark.parametrize("execution", ["nightly-7", "a" * 20])
def test_a_short_execution_name_is_the_run(execution: str) -> None:
    assert names.run_for_execution(execution) == execution


@pytest.mark.parametrize("execution", ["a" * 21, "Upper", "a_b", "8f14e45f-ceea-467f-9d3b-1d0e5e3f2a10", "a--b"])
def test_any_other_execution_name_becomes_a_digest(execution: str) -> None:
    run = names.run_for_execution(execution)
    assert names.NAME.fullmatch(run)
    assert len(run) <= names.RUN_LIMIT
    assert run == names.run_for_execution(execution) != names.run_for_execution(execution + "x")


def test_sagemakers_names_are_within_its_limits() -> None:
    sagemaker = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
    for name in (
        names.endpoint(LONGEST, LONGEST, "serverless"),
        names.staging_endpoint(LONGEST, LONGEST),
        names.model_group(LONGEST, LONGEST),
    ):
        assert sagemaker.fullmatch(name)


def test_two_projects_never_share_a_name() -> None:
    assert names.model_group("a", "b-c") != names.model_group("a-b", "c")
    assert names.endpoint("a", "b-c", "realtime") != names.endpoint("a-b", "c", "realtime")


def test_the_entrypoint_is_within_sagemakers_limit() -> None:
    for inputs in (names.TRAINING_INPUTS, names.PROCESSING_INPUTS):
        for program in ("prepare", "train", "evaluate"):
            bash, flag, script = names.container_entrypoint(program, inputs)
            assert (bash, flag) == ("bash", "-c")
            assert len(script) <= names.ENTRYPOINT_LIMIT
            assert script.endswith(f"training.launch {program}")


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("acme/digits/inbox/digits.zip", ("acme", "digits", "digits.zip")),
        ("acme/digits/inbox/a b+%🙂.zip", ("acme", "digits", "a b+%🙂.zip")),
        ("acme/digits/inbox/batch/manifest.json", ("acme", "digits", "batch/manifest.json")),
        ("acme/digits/inbox/new\nline.csv", ("acme", "digits", "new\nline.csv")),
        ("acme/digits/inbox/", None),
        ("acme/digits/project.toml", None),
        ("acme/inbox/digits.zip", None),
        ("acme/x/digits/inbox/digits.zip", None),
        ("/digits/inbox/digits.zip", None),
        ("", None),
    ],
)
def test_an_inbox_key_is_split(key: str, parts: tuple[str, str, str] | None) -> None:
    assert keys.parse_inbox(key) == parts


@pytest.mark.parametrize(
    ("rest", "starts"),
    [
        ("digits.zip", True),
        ("batch/manifest.json", True),
        ("batch/a.csv", False),
        ("batch/sub/manifest.json", False),
        ("batch/", False),
        ("xmanifest.json", True),
        ("batch/xmanifest.json", False),
    ],
)
def test_files_and_manifests_start_runs_and_nothing_else(rest: str, starts: bool) -> None:
    assert keys.starts_run(rest) is starts


def test_an_address_is_split() -> None:
    assert keys.parse_uri("s3://my-bucket/a/b c.zip") == ("my-bucket", "a/b c.zip")


@pytest.mark.parametrize("uri", ["", "s3://", "s3://bucket", "s3://bucket/", "https://bucket/key", "s3://B/k", "/a/b"])
def test_another_address_is_refused(uri: str) -> None:
    with pytest.raises(InvalidUpload, match="expected s3://<bucket>/<key>"):
        keys.parse_uri(uri)


def test_what_a_run_writes_is_below_its_prefix_and_starts_nothing() -> None:
    prefix = keys.run_prefix("acme", "digits", "run-1")
    assert prefix == "acme/digits/runs/run-1/"
    assert keys.parse_inbox(prefix + keys.UPLOAD + "digits.zip") is None
    assert keys.DATASET_SCHEMA.startswith(keys.DATASET)
    assert keys.MODEL.startswith(keys.EVALUATE)
