"""The server as a Lambda function: the model that was evaluated and no other, and answers as over HTTP."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from contract.errors import InvalidModel
from contract.lambda_calls import Answered, Asked
from serving import fetch
from serving.lambda_call import PredictionFailed, answer
from serving.model import Model, load
from tests.serving.client import Client

ROW = {"age": 30, "job": "nurse", "monthly income": 2000}
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}


def packed(folder: Path, **entries: bytes) -> bytes:
    """Return a model archive of a folder's files, and of further entries by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
        for name, body in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return buffer.getvalue()


class Bucket(http.server.ThreadingHTTPServer):
    """Answers GET with one object, after as many refusals as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.refusals, self.asked = b"", [], []  # type: ignore[var-annotated]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Bucket)
        self.server.asked.append((self.path, self.headers["Authorization"]))
        status = self.server.refusals.pop(0) if self.server.refusals else 200
        self.send_response(status)
        self.end_headers()
        self.wfile.write(self.server.body if status == 200 else b"<Error/>")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with Bucket() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def get(bucket: Bucket, folder: Path, sha256: str | None = None) -> Path:
    environment = {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{bucket.server_port}"}
    digest = sha256 or hashlib.sha256(bucket.body).hexdigest()
    return fetch.fetch("s3://bucket/acme/x/model.tar.gz", digest, folder / "tandem", environment)


@pytest.mark.parametrize("token", ["", "session"])
@pytest.mark.parametrize("key", ["acme/digits/runs/r-1/evaluate/model.tar.gz", "a b/ü+(1)~.tar.gz"])
def test_a_request_is_signed_as_the_sdk_signs_it(key: str, token: str) -> None:
    environment = {**KEYS, **({"AWS_SESSION_TOKEN": token} if token else {})}
    now = datetime(2026, 11, 21, 16, 30, tzinfo=UTC)
    url, headers = fetch.sign("bucket", key, environment, now)
    request = AWSRequest("GET", url, headers={"x-amz-content-sha256": fetch.NOTHING})
    request.context["timestamp"] = now.strftime("%Y%m%dT%H%M%SZ")
    signer = S3SigV4Auth(Credentials("AKIDEXAMPLE", "secret", token or None), "s3", "eu-west-1")
    with (
        mock.patch("botocore.auth.get_current_datetime", return_value=now.replace(tzinfo=None)),
        mock.patch.object(S3SigV4Auth, "_should_sha256_sign_payload", return_value=True),
    ):
        signer.add_auth(request)
    assert headers["authorization"] == request.headers["Authorization"]


def test_the_evaluated_model_is_fetched_and_serves(bucket: Bucket, tmp_path: Path, archive: Path) -> None:
    bucket.body, bucket.refusals = packed(archive), [503]
    model = load(get(bucket, tmp_path))
    assert [path for path, _ in bucket.asked] == ["/bucket/acme/x/model.tar.gz"] * 2
    result = answer(
        model, Asked(body=json.dumps({"instances": [ROW]}).encode(), content_type="application/json").to_event()
    )
    assert Answered.from_result(result).status == 200
    assert not list(tmp_path.rglob("*.tar.gz"))  # its room in /tmp is free again


def test_another_archive_than_the_evaluated_one_is_refused(bucket: Bucket, tmp_path: Path, archive: Path) -> None:
    bucket.body = packed(archive)
    with pytest.raises(InvalidModel, match="was altered"):
        get(bucket, tmp_path, sha256="0" * 64)


@pytest.mark.parametrize("name", ["../escaped", "/escaped"])
def test_an_archive_that_writes_elsewhere_is_refused(bucket: Bucket, tmp_path: Path, archive: Path, name: str) -> None:
    bucket.body = packed(archive, **{name: b"x"})
    if name.startswith("/"):  # the filter strips it: the file stays inside, where the manifest does not list it
        with pytest.raises(InvalidModel, match="does not list"):
            load(get(bucket, tmp_path))
    else:
        with pytest.raises(InvalidModel, match="cannot be unpacked"):
            get(bucket, tmp_path)
    assert not list(tmp_path.parent.glob("escaped"))


def test_what_is_no_archive_and_what_is_not_there_is_said(bucket: Bucket, tmp_path: Path) -> None:
    bucket.body = b"no archive"
    with pytest.raises(InvalidModel, match="cannot be unpacked"):
        get(bucket, tmp_path)
    bucket.refusals = [403]
    with pytest.raises(OSError, match="S3 answered 403"):
        get(bucket, tmp_path)


@pytest.mark.parametrize(("accept", "kind"), [("", "application/json"), ("text/csv", "text/csv")])
def test_answers_are_those_of_the_server(credit: Client, credit_model: Model, accept: str, kind: str) -> None:
    body = json.dumps({"instances": [ROW]}).encode()
    over_http = credit.invoke(body, "application/json", **({"accept": accept} if accept else {}))
    result = answer(credit_model, Asked(body=body, content_type="application/json", accept=accept).to_event())
    answered = Answered.from_result(result)
    assert (answered.status, answered.content_type, answered.body) == (200, kind, over_http.content)


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (Asked(body=b"{", content_type="application/json").to_event(), 400),
        (Asked(body=b"x", content_type="image/png").to_event(), 415),
        (Asked(body=b"{}", content_type="application/json", accept="image/png").to_event(), 406),
        ({"body": "no base64!", "content_type": "text/csv"}, 400),
        ({"body": 7}, 400),
        ({}, 415),
    ],
    ids=["json", "type", "accept", "base64", "number", "nothing"],
)
def test_what_does_not_fit_is_refused_not_failed(credit_model: Model, event: dict[str, Any], status: int) -> None:
    answered = Answered.from_result(answer(credit_model, event))
    assert answered.status == status
    assert json.loads(answered.body)["error"]["message"]


def test_a_model_that_fails_is_an_error_of_the_function_and_quotes_nothing(
    credit_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credit_model, "answers", mock.Mock(side_effect=ArithmeticError("secret 4711")))
    body = json.dumps({"instances": [ROW]}).encode()
    with pytest.raises(PredictionFailed) as failed:
        answer(credit_model, Asked(body=body, content_type="application/json").to_event())
    assert "4711" not in str(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__
