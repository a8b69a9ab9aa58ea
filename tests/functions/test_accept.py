"""Accept request: defaults filled in, the upload pinned, every mistake named before anything is billed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract import keys, ledger
from contract.request import RunRequest
from contract.run import RUNNING, Outcome
from functions import accept, runs, table, uploads
from functions.shared import client
from tests.functions.conftest import Killed, World

TOML = b'[recipe]\nname = "tabular"\n[prepare]\ntarget = "b"\n[train]\nepochs = 3\n'


def console(world: World, key: str, **more: Any) -> dict[str, Any]:
    return {"tenant": world.tenant, "project": "digits", "upload": f"s3://{world.data}/{key}", **more}


def ask(world: World, given: Any, execution: dict[str, str] | None = None) -> dict[str, Any]:
    execution = execution or world.execute({})
    return accept.handler(json.loads(json.dumps({"input": given, "execution": execution})), None)


def configure(world: World, toml: bytes = TOML) -> None:
    world.put(keys.project_config(world.tenant, "digits"), toml)


def said(answer: dict[str, Any]) -> str:
    assert not answer["accepted"]
    assert answer["run"] is None
    return "\n".join(answer["reasons"])


def test_a_request_is_filled_in_and_its_upload_pinned(world: World) -> None:
    configure(world)
    key, version = world.upload("rows.csv", b"a,b\n1,2\n")
    execution = world.execute({})
    answer = ask(world, console(world, key, version_id=version, train={"epochs": 5}), execution)
    assert answer["accepted"], answer
    assert answer["run_id"] == execution["name"]
    request = RunRequest.from_dict(answer["run"])
    assert request.train.epochs == 5
    assert request.prepare.target == "b"
    assert (request.upload.key, request.upload.version_id) == (key, version)
    assert (request.upload.bytes, request.upload.files) == (8, 1)
    assert world.document(request.prefix + keys.REQUEST) == answer["run"]
    assert world.text(request.prefix + keys.UPLOAD + "rows.csv") == "a,b\n1,2\n"
    row = world.run_row(request.run)
    assert row["status"] == RUNNING
    assert row["project"] == f"{world.tenant}/digits"
    assert row["execution_arn"] == execution["id"]


def test_a_run_works_on_the_version_that_started_it(world: World) -> None:
    configure(world)
    key, version = world.upload("rows.csv", b"a,b\n1,2\n")
    world.upload("rows.csv", b"something else")
    answer = ask(world, console(world, key, version_id=version))
    assert world.text(answer["run"]["prefix"] + keys.UPLOAD + "rows.csv") == "a,b\n1,2\n"


def test_asking_again_gives_the_same_request(world: World) -> None:
    configure(world)
    key, version = world.upload("rows.csv")
    execution = world.execute({})
    first = ask(world, console(world, key), execution)
    world.upload("rows.csv", b"newer, and longer\n")
    configure(world, TOML.replace(b"3", b"7"))
    assert ask(world, console(world, key), execution) == first
    assert first["run"]["upload"]["version_id"] == version


@pytest.mark.parametrize("operation", ["CopyObject", "PutObject"])
@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize("after", [False, True])
def test_a_handler_killed_at_any_write_is_completed_by_the_retry(
    world: World, kill_at: Any, operation: str, call: int, after: bool
) -> None:
    configure(world)
    for name in ("a", "b", "c"):
        world.upload(f"batch/{name}.csv")
    key, _ = world.upload("batch/manifest.json", b'{"files": ["a.csv", "b.csv", "c.csv"]}')
    execution = world.execute({})
    kill_at("s3", operation, call=call, after=after)
    with pytest.raises(Killed):
        ask(world, console(world, key), execution)
    answer = ask(world, console(world, key), execution)
    assert answer["accepted"]
    assert len(world.keys(answer["run"]["prefix"] + keys.UPLOAD)) == 3
    assert world.document(answer["run"]["prefix"] + keys.REQUEST) == answer["run"]


def test_copies_of_an_earlier_try_do_not_stay(world: World, kill_at: Any) -> None:
    configure(world)
    world.upload("batch/a.csv")
    world.upload("batch/b.csv")
    key, _ = world.upload("batch/manifest.json", b'{"files": ["a.csv", "b.csv"]}')
    execution = world.execute({})
    kill_at("s3", "PutObject", call=1)
    with pytest.raises(Killed):
        ask(world, console(world, key), execution)
    world.upload("batch/manifest.json", b'{"files": ["b.csv"]}')
    answer = ask(world, console(world, key), execution)
    assert [path.rpartition("/")[2] for path in world.keys(answer["run"]["prefix"] + keys.UPLOAD)] == ["b.csv"]


def test_a_batch_may_name_files_of_the_project_anywhere(world: World) -> None:
    configure(world)
    elsewhere = f"{world.tenant}/digits/tables/x y%20+📈.csv"
    world.put(elsewhere, b"a,b\n3,4\n")
    _, version = world.upload("batch/sub/a.csv")
    files = ["sub/a.csv", f"s3://{world.data}/{elsewhere}"]
    key, _ = world.upload("batch/manifest.json", json.dumps({"files": files}).encode())
    answer = ask(world, console(world, key))
    assert answer["accepted"], answer
    assert (answer["run"]["upload"]["files"], answer["run"]["upload"]["bytes"]) == (2, 16)
    prefix = answer["run"]["prefix"]
    assert world.text(prefix + keys.UPLOAD + "00001-x_y_20.csv") == "a,b\n3,4\n"
    pinned = world.document(prefix + keys.UPLOAD_FILES)
    assert [file["key"] for file in pinned] == [key.replace("manifest.json", "sub/a.csv"), elsewhere]
    assert pinned[0]["version_id"] == version


@pytest.mark.parametrize("name", ["a b+c%20.csv", "données 📈.csv", 'it\'s "quoted".csv', "100%.csv", "&<b>.csv"])
def test_hostile_keys_are_copied_as_they_are(world: World, name: str) -> None:
    configure(world)
    key, version = world.upload(name, b"a,b\n1,2\n")
    answer = ask(world, console(world, key, version_id=version))
    assert answer["accepted"], answer
    (copy,) = world.keys(answer["run"]["prefix"] + keys.UPLOAD)
    assert copy.isascii()
    assert copy.endswith(".csv")
    assert world.text(copy) == "a,b\n1,2\n"


def test_a_large_object_is_copied_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from boto3.s3.transfer import TransferConfig

    from functions import uploads

    monkeypatch.setattr(uploads, "COPY", TransferConfig(multipart_threshold=5 * 2**20, multipart_chunksize=5 * 2**20))
    configure(world)
    body = bytes(range(256)) * 2**15 * 2
    key, version = world.upload("rows.csv", body)
    world.upload("rows.csv", b"newer")
    answer = ask(world, console(world, key, version_id=version))
    copy = world.client("s3").get_object(Bucket=world.artifacts, Key=answer["run"]["prefix"] + "upload/rows.csv")
    assert copy["Body"].read() == body
    assert "-" in copy["ETag"]


def test_the_salt_is_made_once(world: World) -> None:
    configure(world)
    key, _ = world.upload("rows.csv")
    ask(world, console(world, key))
    first = world.client("s3").get_object(Bucket=world.data, Key=keys.salt(world.tenant))["Body"].read()
    ask(world, console(world, key))
    assert world.client("s3").get_object(Bucket=world.data, Key=keys.salt(world.tenant))["Body"].read() == first
    assert len(first) == 32


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (b'{"files": ["gone.csv", "lost.csv"]}', ["gone.csv", "lost.csv", "does not exist"]),
        (b'{"files": ["s3://another-bucket/rows.csv"]}', ["another-bucket", "not of this project"]),
        (b'{"files": ["../../../rival/digits/inbox/rows.csv"]}', ["rival", "plain name"]),
        (b'{"files": ["a.csv", "a.csv"]}', ["files[1]", "twice"]),
        (b'{"files": ["a.csv", "z.zip"]}', [".csv", ".zip", "kinds"]),
        (b'{"files": ["a.csv", "empty.csv"]}', ["empty.csv", "0 bytes"]),
        (b'{"files": []}', ["0 files"]),
        (b'{"files": "a.csv"}', ["manifest.json.files", "list"]),
        (b'{"fils": ["a.csv"]}', ["fils", "files"]),
        (b'{"files": [""]}', ["plain name"]),
        (b'{"files": ["s3://"]}', ["s3://"]),
        (b"[]", ["manifest.json"]),
        (b"not json", ["not JSON"]),
        (b"", ["not JSON"]),
        (b"\xff\xfe", ["not JSON"]),
    ],
)
def test_a_faulty_manifest_is_rejected_with_the_reasons(world: World, manifest: bytes, says: list[str]) -> None:
    configure(world)
    for name, body in {"a.csv": b"a,b\n", "z.zip": b"PK", "empty.csv": b""}.items():
        world.upload(f"batch/{name}", body)
    key, _ = world.upload("batch/manifest.json", manifest)
    answer = ask(world, console(world, key))
    assert answer["outcome"] == Outcome.REJECTED, answer
    for phrase in says:
        assert phrase in said(answer)
    assert world.run_row(answer["run_id"])["status"] == RUNNING


def test_a_manifest_cannot_name_another_tenants_object(world: World) -> None:
    configure(world)
    world.put("rival/digits/inbox/rows.csv", b"secret")
    body = json.dumps({"files": [f"s3://{world.data}/rival/digits/inbox/rows.csv"]}).encode()
    key, _ = world.upload("batch/manifest.json", body)
    answer = ask(world, console(world, key))
    assert answer["outcome"] == Outcome.REJECTED
    assert "rival" in said(answer)


def test_many_reasons_are_cut_and_counted(world: World) -> None:
    configure(world)
    key, _ = world.upload("batch/manifest.json", json.dumps({"files": [f"{i}.csv" for i in range(50)]}).encode())
    answer = ask(world, console(world, key))
    assert len(answer["reasons"]) == 20
    assert "50" in answer["reasons"][-1]


@pytest.mark.parametrize(
    ("name", "body", "says"), [("empty.csv", b"", "0 bytes"), ("gone.csv", None, "does not exist")]
)
def test_an_upload_that_is_not_there_is_rejected(world: World, name: str, body: bytes | None, says: str) -> None:
    configure(world)
    key = f"{world.tenant}/digits/inbox/{name}"
    if body is not None:
        world.put(key, body)
    answer = ask(world, console(world, key))
    assert answer["outcome"] == Outcome.REJECTED
    assert says in said(answer)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tenant": "Acme Inc"}, "tenant: 'Acme Inc'"),
        ({"tenant": None}, "tenant: nothing"),
        ({"project": "a--b"}, "project: 'a--b'"),
        ({"upload": None}, "upload: nothing"),
        ({"upload": "rows.csv"}, "below s3://data-"),
        ({"upload": "s3://another-bucket/acme/digits/rows.csv"}, "below s3://data-"),
        ({"uplaod": "x"}, "Did you mean 'upload'?"),
        ({"version_id": 7}, "version_id: 7"),
        ({"train": {"epohcs": 3}}, "Did you mean 'epochs'?"),
        ({"train": {"epochs": 0}}, "an integer from 1 to 10000"),
        ({"train": 5}, "train: 5"),
        ({"recipe": "tabluar"}, "Did you mean 'tabular'?"),
    ],
)
def test_a_mistaken_request_is_refused_with_the_fix(world: World, change: dict[str, Any], says: str) -> None:
    configure(world)
    key, _ = world.upload("rows.csv")
    answer = ask(world, {**console(world, key), **change})
    assert answer["outcome"] == Outcome.REFUSED, answer
    assert says in said(answer)
    assert world.run_row(answer["run_id"])["status"] == RUNNING


@pytest.mark.parametrize("given", [[], "digits", None, 7])
def test_an_input_that_is_no_object_is_refused(world: World, given: Any) -> None:
    answer = ask(world, given)
    assert answer["outcome"] == Outcome.REFUSED
    assert "upload" in said(answer)


def test_a_tenant_that_was_not_added_is_refused_before_anything_is_read_or_written(world: World) -> None:
    world.remove_tenant()
    key, _ = world.upload("rows.csv")
    answer = ask(world, console(world, key))
    assert answer["outcome"] == Outcome.REFUSED
    assert f"tandem tenant add {world.tenant}" in said(answer)
    assert world.keys("") == []


def test_another_tenants_upload_is_refused(world: World) -> None:
    world.put("rival/digits/inbox/rows.csv", b"secret")
    answer = ask(world, console(world, "rival/digits/inbox/rows.csv"))
    assert answer["outcome"] == Outcome.REFUSED
    assert f"{world.tenant}/digits/" in said(answer)
    assert world.keys("") == []


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        (b"[train", ["project.toml", "line 1", "[train"]),
        (b"[train]\nepochs = \n", ["line 2", "epochs ="]),
        (b"\xff\xfe[\x00", ["UTF-8"]),
        (b"[trian]\nepochs = 3\n", ["trian", "Did you mean 'train'?"]),
        (b'recipe = "tabular"\n', ["prepare.target"]),
    ],
)
def test_a_faulty_project_toml_is_refused_with_the_place(world: World, toml: bytes, says: list[str]) -> None:
    configure(world, toml)
    key, _ = world.upload("rows.csv")
    answer = ask(world, console(world, key))
    assert answer["outcome"] == Outcome.REFUSED, answer
    for phrase in says:
        assert phrase in said(answer)


def test_a_run_id_of_another_execution_is_not_touched(world: World) -> None:
    configure(world)
    key, _ = world.upload("rows.csv")
    execution = world.execute({})
    ask(world, console(world, key), execution)
    with pytest.raises(runs.RunIdTaken, match="another name"):
        ask(world, console(world, key), {**execution, "id": execution["id"].replace(":execution:", ":execution:new-")})


def test_a_long_execution_name_becomes_a_short_run_id(world: World) -> None:
    configure(world)
    key, _ = world.upload("rows.csv")
    execution = world.execute({}, name="4c4f5e3a-93e9-4b05-8a8c-9f5c3f0b1a2d")
    answer = ask(world, console(world, key), execution)
    assert len(answer["run_id"]) <= 20
    assert answer["run"]["run"] == answer["run_id"]


def test_rows_that_the_champions_run_kept_are_pinned_beside_the_upload(world: World) -> None:
    configure(world, TOML.replace(b"[train]", b"replay = 0.5\n[train]"))
    prefix = keys.run_prefix(world.tenant, "digits", "digits-before")
    champion = ledger.champion_key(world.tenant, "digits")
    table.put(champion, {"model_uri": f"s3://{world.artifacts}/{prefix}{keys.MODEL}", "run": "rollback"})
    key, _ = world.upload("rows.csv", b"a,b\n1,2\n")
    request = RunRequest.from_dict(ask(world, console(world, key))["run"])
    assert len(world.document(request.prefix + keys.UPLOAD_FILES)) == 1  # that run has kept none
    client("s3").put_object(Bucket=world.artifacts, Key=f"{prefix}{keys.REPLAY}_replay.csv", Body=b"a,b\n3,4\n")
    request = RunRequest.from_dict(ask(world, console(world, key))["run"])
    assert world.text(request.prefix + keys.UPLOAD + "_replay.csv") == "a,b\n3,4\n"
    assert [file["name"] for file in world.document(request.prefix + keys.UPLOAD_FILES)] == ["rows.csv", "_replay.csv"]
    assert (request.upload.bytes, request.upload.files) == (8, 1)  # what was uploaded
    configure(world)
    request = RunRequest.from_dict(ask(world, console(world, key))["run"])
    assert len(world.document(request.prefix + keys.UPLOAD_FILES)) == 1  # nobody asked for it


def test_no_upload_can_pass_for_rows_that_were_kept() -> None:
    file = uploads.File(bucket="data", key="acme/digits/inbox/_replay.csv", version_id="1", bytes=1)
    assert file.copy_name(None) == "replay.csv"
