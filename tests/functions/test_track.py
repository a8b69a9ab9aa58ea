"""Settled runs are told to MLflow and TensorBoard, once."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from contract import keys, names
from functions import documents, track
from tests.functions import examples
from tests.functions.conftest import World

RUN = examples.run()
PREFIX = keys.run_prefix(RUN.tenant, RUN.project, RUN.run)


def settled(**more: Any) -> dict[str, Any]:
    detail = {"run": RUN.run, "tenant": RUN.tenant, "project": RUN.project, "execution_arn": RUN.execution_arn, **more}
    return {"detail-type": names.EVENT_RUN_SETTLED, "detail": detail}


@pytest.fixture
def told(world: World) -> World:
    """A world with a settled run."""
    documents.write(PREFIX + keys.RUN_DOCUMENT, dataclasses.asdict(RUN))
    documents.write_text(PREFIX + keys.REPORT, "<h1>a report</h1>", "text/html")
    return world


def events(content: bytes) -> list[Event]:
    """Return the events of a file (TFRecord: length, its checksum, the record, its checksum)."""
    file, found = io.BytesIO(content), []
    while length := file.read(8):
        file.read(4)
        record = file.read(int.from_bytes(length, "little"))
        assert int.from_bytes(file.read(4), "little") == masked_crc32c(record)
        found.append(Event.FromString(record))
    return found


def event_files(world: World) -> dict[str, bytes]:
    s3 = world.client("s3")
    listed = s3.list_objects_v2(Bucket=world.artifacts, Prefix=PREFIX + keys.TENSORBOARD).get("Contents", [])
    return {each["Key"]: s3.get_object(Bucket=world.artifacts, Key=each["Key"])["Body"].read() for each in listed}


def test_tensorboard_gets_a_curve_a_metric(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.TENSORBOARD, names.ON)
    assert track.handler(settled(), None) == {"run": RUN.run, "told": ["tensorboard"]}
    ((key, content),) = event_files(told).items()
    assert key.startswith(f"{PREFIX}{keys.TENSORBOARD}events.out.tfevents.")
    points = [(value.tag, event.step, value.simple_value) for event in events(content) for value in event.summary.value]
    curve = [(step, value) for tag, step, value in points if tag == "train_loss"]
    assert curve == [(int(epoch["epoch"]), pytest.approx(epoch["train_loss"])) for epoch in RUN.epochs]
    assert RUN.evaluation is not None
    results = {tag: value for tag, _, value in points if tag.startswith("results/")}
    assert results["results/test_accuracy"] == pytest.approx(RUN.evaluation["metrics"]["accuracy"])


def test_a_run_told_twice_has_one_file(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.TENSORBOARD, names.ON)
    for _ in range(2):
        track.handler(settled(), None)
    assert len(event_files(told)) == 1


def test_nothing_is_told_where_nobody_listens(told: World) -> None:
    assert track.handler(settled(), None)["told"] == []
    assert event_files(told) == {}


def test_a_run_of_no_project_has_nothing_to_tell(world: World) -> None:
    assert track.handler(settled(tenant="", project=""), None)["told"] == []


def test_an_upload_that_intake_refused_has_nothing_to_tell_and_is_no_failure(world: World) -> None:
    assert track.handler(settled(execution_arn=None), None)["told"] == []


def test_a_run_without_its_document_is_an_error_that_is_tried_again(world: World) -> None:
    with pytest.raises(LookupError, match=r"there is no .*run\.json"):
        track.handler(settled(), None)


@pytest.mark.filterwarnings("ignore:.*noload.*deprecated")  # MLflow's own use of SQLAlchemy
def test_mlflow_has_settings_epochs_results_and_the_report(
    told: World, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    client = pytest.importorskip("mlflow.client", reason="MLflow's client is in the extra: pip install -e '.[mlflow]'")
    folder = tmp_path_factory.mktemp("mlflow")
    server = f"sqlite:///{folder}/mlflow.db"
    monkeypatch.setenv(names.MLFLOW_SERVER, server)
    monkeypatch.setenv("MLFLOW_ARTIFACT_ROOT", str(folder))
    monkeypatch.chdir(folder)
    for _ in range(2):
        assert track.handler(settled(), None)["told"] == ["mlflow"]
    reader = client.MlflowClient(tracking_uri=server)
    experiment = reader.get_experiment_by_name(f"{RUN.tenant}/{RUN.project}")
    (found,) = reader.search_runs([experiment.experiment_id])
    assert RUN.request is not None
    assert found.data.params["train.epochs"] == str(RUN.request["train"]["epochs"])
    assert found.data.tags[names.TAG_RUN] == RUN.run
    assert found.info.status == "FINISHED"
    steps = [each.step for each in reader.get_metric_history(found.info.run_id, "train_loss")]
    assert sorted(set(steps)) == [int(epoch["epoch"]) for epoch in RUN.epochs]
    assert [each.path for each in reader.list_artifacts(found.info.run_id)] == ["report.html"]
