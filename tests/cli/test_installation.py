"""The command line from an empty laptop cloud to its end, each command as a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli import laptop
from cli.errors import Exit
from contract.run import Outcome
from tests.cli.conftest import Answer
from tests.cli.edge import device
from tests.e2e.data import table, table_toml

Tandem = Callable[..., Answer]
PROJECT = "acme/risks"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the commands run in."""
    return tmp_path_factory.mktemp("person")


@pytest.fixture(scope="module")
def tandem(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tandem]:
    """Call `tandem` against a laptop cloud of its own, in which it is deployed."""
    with laptop.running(tmp_path_factory.mktemp("laptop"), port=0, clock_scale=0.02) as cloud:

        def call(*arguments: object) -> Answer:
            done = subprocess.run(
                [sys.executable, "-m", "cli", *map(str, arguments)],
                env={**os.environ, **cloud.environment, "PYTHONPATH": str(Path(__file__).parents[2])},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            return Answer(code=done.returncode, stdout=done.stdout, stderr=done.stderr)

        before = call("runs")
        assert before.code == Exit.UNREACHABLE
        assert "tandem deploy" in before.stderr
        deployed = call("deploy", "--no-wheels", "--json")
        assert deployed.code == Exit.GOOD, deployed.stderr
        assert deployed.document["data_bucket"]
        added = call("tenant", "add", "acme", "--json")
        assert added.code == Exit.GOOD, added.stderr
        yield call


@pytest.fixture(scope="module")
def first(tandem: Tandem, folder: Path) -> Answer:
    """Submit a table that becomes version 1."""
    return _submit(tandem, folder, table_toml(epochs=1, learning_rate=0.01))


@pytest.fixture(scope="module")
def second(tandem: Tandem, folder: Path, first: Answer) -> Answer:
    """Submit the same table to a project that learns longer, which becomes version 2."""
    return _submit(tandem, folder, table_toml())


def _submit(tandem: Tandem, folder: Path, toml: str) -> Answer:
    (folder / "rows.csv").write_bytes(table(seed=1))
    (folder / "project.toml").write_text(toml)
    return tandem("submit", "rows.csv", "--project", PROJECT, "--json")


def test_an_upload_becomes_a_served_model(first: Answer) -> None:
    assert first.code == Exit.GOOD, first.stdout + first.stderr
    assert first.document["outcome"] == Outcome.DEPLOYED
    assert first.document["usd"] > 0
    for state in ("Accept request", "Train on", "Evaluate", "Take lease", "Settle run"):
        assert state in first.stderr  # the way there, for people


def test_doctor_finds_everything(tandem: Tandem, first: Answer) -> None:
    answer = tandem("doctor", "--json")
    assert [check["status"] for check in answer.document["account"]] == ["good"] * 5, answer.stdout
    quotas = answer.document["account"][-1]["found"]
    assert f"ml.m5.xlarge for training job usage: 100, 0 in use, {PROJECT} wants 1" in quotas


def test_the_model_answers(tandem: Tandem, folder: Path, first: Answer) -> None:
    header, row, *_ = table(seed=2).decode().splitlines()
    (folder / "one.csv").write_text(f"{header}\n{row}\n")
    answer = tandem("predict", PROJECT, "one.csv", "--json")
    assert answer.code == Exit.GOOD, answer.stderr
    assert len(answer.document["predictions"]) == 1
    (folder / "bad.json").write_text("{")
    refused = tandem("predict", PROJECT, "bad.json")
    assert refused.code == Exit.REFUSED
    assert "JSON" in refused.stderr
    assert "{" not in refused.stderr  # words, not the server's document


def test_a_run_is_listed_watched_logged_and_reported(tandem: Tandem, folder: Path, first: Answer) -> None:
    run = first.document["run"]
    assert run in tandem("runs").stdout
    assert run in [row["run"] for row in tandem("runs", PROJECT, "--json").document]
    watched = tandem("watch", run)
    assert watched.code == Exit.GOOD
    assert "DEPLOYED" in watched.stdout
    assert "epoch=1" in tandem("logs", run, "Train on demand").stdout
    wrong = tandem("logs", run, "Trian on demand")
    assert wrong.code == Exit.NOT_FOUND
    assert "Did you mean 'Train on demand'?" in wrong.stderr
    assert tandem("report", run, "-o", "r.html").code == Exit.GOOD
    assert (folder / "r.html").read_text().lstrip().lower().startswith("<!doctype html")


def test_a_version_is_trained_again_to_the_same_bits(tandem: Tandem, first: Answer) -> None:
    assert "--yes" in tandem("reproduce", PROJECT, 1).stderr
    answer = tandem("reproduce", PROJECT, 1, "--yes", "--json")
    assert answer.code == Exit.GOOD, answer.stderr
    assert answer.document["identical"] is True
    before, again = answer.document["metrics"]["validation_loss"]
    assert before == again > 0
    assert len(set(answer.document["training_jobs"])) == 2
    assert "at most $" in answer.stderr


def test_a_bundle_answers_without_any_cloud_as_the_endpoint_does(tandem: Tandem, folder: Path, first: Answer) -> None:
    made = tandem("export", PROJECT, 1, "--to", "edge", "-o", "device", "--json")
    assert made.code == Exit.GOOD, made.stderr
    recipe = json.loads((folder / "device/recipe.json").read_text())
    assert recipe["ComponentVersion"] == "1.1.0"
    header, *rows = table(seed=2).decode().splitlines()
    (folder / "five.csv").write_text("\n".join([header, *rows[:5]]) + "\n")
    wanted = tandem("predict", PROJECT, "five.csv", "--json").document["predictions"]
    nobody = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with device(str(folder / "device/bundle.zip"), nobody, golden=8) as url:
        request = urllib.request.Request(
            f"{url}/invocations", data=(folder / "five.csv").read_bytes(), headers={"Content-Type": "text/csv"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            got = json.load(answer)["predictions"]
        with urllib.request.urlopen(f"{url}/v2/health/ready", timeout=30) as ready:
            assert ready.status == 200
    for one, other in zip(got, wanted, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_a_version_is_exported_for_docker_and_kserve(tandem: Tandem, folder: Path, first: Answer) -> None:
    assert tandem("export", PROJECT, 1, "--to", "docker", "-o", "image").code == Exit.GOOD
    lines = (folder / "image/Dockerfile").read_text().splitlines()
    assert lines.index("COPY model /opt/ml/model") < lines.index('ENTRYPOINT ["python", "-m", "serving"]')
    for path in ("model/manifest.json", "model/model.onnx", "serving/app.py", "contract/names.py"):
        assert (folder / "image" / path).is_file()
    assert tandem("export", PROJECT, 1, "--to", "docker", "-o", "image").code == Exit.USAGE, "nothing is overwritten"
    assert "--image" in tandem("export", PROJECT, 1, "--to", "kserve", "-o", "k").stderr
    answer = tandem("export", PROJECT, 1, "--to", "kserve", "-o", "k", "--image", "registry/risks:1")
    assert answer.code == Exit.GOOD
    service = json.loads((folder / "k/inference-service.json").read_text())
    assert service["spec"]["predictor"]["containers"][0]["image"] == "registry/risks:1"
    assert "keras" in tandem("export", PROJECT, 1, "--to", "tensorflow", "-o", "tf").stderr


def test_a_rejected_version_is_not_put_back(tandem: Tandem, second: Answer) -> None:
    assert "is in service" in tandem("reject", PROJECT, 2).stderr
    assert tandem("reject", PROJECT, 1, "--note", "too old").code == Exit.GOOD
    refused = tandem("rollback", PROJECT, 1)
    assert refused.code == Exit.FAILED
    assert "tandem approve acme/risks 1" in refused.stdout + refused.stderr
    approved = tandem("approve", PROJECT, 1)
    assert "tandem rollback acme/risks 1" in approved.stdout


def test_an_earlier_version_is_put_back(tandem: Tandem, second: Answer) -> None:
    assert second.document["outcome"] == Outcome.DEPLOYED, second.document["reasons"]
    listed = tandem("models", PROJECT, "--json").document
    told = [(model["version"], model["champion"], model["stage"]) for model in listed]
    assert told == [(2, True, "Production"), (1, False, "Archived")]
    back = tandem("rollback", PROJECT, 1)
    assert back.code == Exit.GOOD, back.stderr
    assert "Check golden samples" in back.stdout
    listed = tandem("models", PROJECT, "--json").document
    told = [(model["version"], model["champion"], model["stage"]) for model in listed]
    assert told == [(2, False, "Archived"), (1, True, "Production")]
    again = tandem("rollback", PROJECT, 1, "--json")
    assert again.document["changed"] is False
    assert tandem("rollback", PROJECT, 9).code == Exit.NOT_FOUND


def test_a_rejected_upload_ends_with_its_reasons(tandem: Tandem, folder: Path) -> None:
    with zipfile.ZipFile(folder / "notes.zip", "w") as archive:
        archive.writestr("a/readme.png", "no image")
    (folder / "image.toml").write_text('recipe = "image"\n')
    answer = tandem("submit", "notes.zip", "--project", "acme/notes", "--config", "image.toml")
    assert answer.code == Exit.REFUSED
    assert "REJECTED" in answer.stdout
    assert "expected PNG" in answer.stdout


def test_a_table_without_project_toml_says_how_to_make_one(tandem: Tandem, folder: Path) -> None:
    (folder / "alone").mkdir()
    (folder / "alone" / "rows.csv").write_bytes(table(seed=1))
    answer = tandem("submit", "alone/rows.csv", "--project", "acme/alone")
    assert answer.code == Exit.REFUSED
    assert "tandem new acme/alone --recipe tabular --target COLUMN" in answer.stderr


def test_rows_that_were_set_aside_are_found_under_their_file_s_name(tandem: Tandem, folder: Path) -> None:
    (folder / "ragged.csv").write_bytes(table(seed=1) + b"1,2,3,4,5,6,7,8,9\n" * 200)
    answer = tandem("submit", "ragged.csv", "--project", "acme/ragged", "--json")
    assert answer.code == Exit.REFUSED
    assert answer.document["quarantine"].endswith("/quarantine/")
    assert answer.document["reasons"][1].startswith("ragged.csv, row")


def test_runs_fit_a_narrow_terminal(tandem: Tandem, first: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = tandem("runs").stdout.splitlines()
    assert len(lines) == 1 + len(tandem("runs", "--json").document)


def test_a_tenant_that_was_not_added_is_refused_before_anything_is_uploaded(tandem: Tandem, first: Answer) -> None:
    refused = tandem("submit", "rows.csv", "--project", "rival/risks")
    assert refused.code == Exit.REFUSED
    assert "tandem tenant add rival" in refused.stderr


def test_a_tenant_that_is_removed_and_comes_back_has_its_key(tandem: Tandem) -> None:
    key = tandem("tenant", "add", "rival", "--json").document["key"]
    assert tandem("tenant", "remove", "rival").code == Exit.GOOD
    assert [each["tenant"] for each in tandem("tenant", "list", "--json").document] == ["acme"]
    assert tandem("tenant", "remove", "rival").code == Exit.NOT_FOUND
    assert tandem("tenant", "add", "rival", "--json").document["key"] == key
    deadline = time.monotonic() + 20
    while len(told := tandem("audit", "rival", "--json").document) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert {each["what"] for each in told} == {"tenant changed"}
    assert [each["note"].partition(",")[0] for each in told] == ["was added", "is removed", "was added"]


def test_a_tenant_whose_models_are_in_service_is_not_removed_unasked(tandem: Tandem, first: Answer) -> None:
    refused = tandem("tenant", "remove", "acme")
    assert refused.code == Exit.REFUSED
    assert "endpoint acme--risks--serverless" in refused.stderr
    assert "--force" in refused.stderr
    assert tandem("tenant", "add", "a--b").code == Exit.REFUSED


def test_an_unknown_run_is_not_found(tandem: Tandem) -> None:
    for command in ("watch", "logs", "report"):
        answer = tandem(command, "nothing")
        assert answer.code == Exit.NOT_FOUND
        assert "tandem runs" in answer.stderr


def test_a_row_is_forgotten_and_its_version_cannot_be_made_again(tandem: Tandem, folder: Path, second: Answer) -> None:
    row = table(seed=1).decode().splitlines()[7]
    who = ("--where", f"income={row.split(',')[0]}", "--where", f"age={row.split(',')[1]}")
    done = tandem("forget", PROJECT, *who, "--yes", "--json")
    assert done.code == Exit.GOOD, done.stderr
    assert done.document["rows"] == 4  # of two uploads, in the inbox and as their runs have them
    assert done.document["versions"] == [1, 2]
    assert done.document["counts"]["uploads"] == 2
    refused = tandem("reproduce", PROJECT, 1, "--yes")
    assert refused.code == Exit.FAILED
    assert f"erasure {done.document['erased']}" in refused.stderr


def test_destroy_removes_everything(tandem: Tandem, first: Answer) -> None:
    asked = tandem("destroy")
    assert asked.code == Exit.USAGE
    assert "--yes" in asked.stderr
    gone = tandem("destroy", "--yes", "--delete-data", "--json")
    assert gone.code == Exit.GOOD, gone.stdout + gone.stderr
    kinds = [item["kind"] for item in gone.document["removed"]]
    assert {"endpoint", "endpoint configuration", "model", "model package", "stack", "AWS::S3::Bucket"} <= set(kinds)
    assert {"TandemTenant-acme", "alias/tandem/rival"} <= {item["name"] for item in gone.document["removed"]}
    assert tandem("runs").code == Exit.UNREACHABLE
    assert tandem("destroy", "--yes").code == Exit.UNREACHABLE
