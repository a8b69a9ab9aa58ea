"""The model of a Lambda function: fetched from S3 when an execution environment starts, and checked.

One signed GET, because an SDK would cost every cold start more time than the model does.
"""

from __future__ import annotations

import hashlib
import hmac
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

from contract import archives
from contract.errors import InvalidModel
from contract.keys import parse_uri

ATTEMPTS = 3
PATIENCE_SECONDS = 60
MAX_BYTES = 4 * 2**30
"""Of the files in an archive, unpacked: /tmp holds no more."""
NOTHING = hashlib.sha256(b"").hexdigest()


def fetch(uri: str, sha256: str, folder: Path, environment: Mapping[str, str]) -> Path:
    """Download a model archive, check it and unpack it; return the folder of its files.

    Args:
        uri: ``s3://bucket/key``.
        sha256: of the archive, in hex.
        folder: a folder that is empty or not there.
        environment: credentials and region, as Lambda sets them.

    Raises:
        InvalidModel: when it is another archive than the one that was evaluated, or unsafe.
        OSError: when it cannot be downloaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "model.tar.gz"
    found = _download(*parse_uri(uri), archive, environment)
    if found != sha256:
        raise InvalidModel(f"{uri} was altered: its sha256 is {found}, the registry says {sha256}")
    archives.unpack(archive, folder / "model", limit=MAX_BYTES)
    archive.unlink()
    return folder / "model"


def _download(bucket: str, key: str, file: Path, environment: Mapping[str, str]) -> str:
    """Download an object; return its sha256."""
    for attempt in range(1, ATTEMPTS + 1):
        digest = hashlib.sha256()
        url, headers = sign(bucket, key, environment, datetime.now(UTC))
        try:
            with (
                urllib.request.urlopen(  # the scheme is https, or the one that the environment's endpoint has
                    urllib.request.Request(url, headers=headers), timeout=PATIENCE_SECONDS
                ) as answer,
                file.open("wb") as target,
            ):
                while piece := answer.read(1 << 20):
                    digest.update(piece)
                    target.write(piece)
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == ATTEMPTS:
                raise OSError(f"s3://{bucket}/{key}: S3 answered {error.code}: {error.read(500)!r}") from error
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            if attempt == ATTEMPTS:
                raise OSError(f"s3://{bucket}/{key} cannot be downloaded: {error}") from error
        else:
            return digest.hexdigest()
        time.sleep(0.2 * attempt)
    raise AssertionError("unreachable")


def sign(bucket: str, key: str, environment: Mapping[str, str], now: datetime) -> tuple[str, dict[str, str]]:
    """Return URL and headers of a GET, signed ("Authenticating Requests: AWS Signature Version 4", Amazon S3)."""
    region, url = environment["AWS_REGION"], _url(bucket, key, environment)
    moment, day, parts = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d"), urlsplit(url)
    headers = {"host": parts.netloc, "x-amz-content-sha256": NOTHING, "x-amz-date": moment}
    if token := environment.get("AWS_SESSION_TOKEN"):
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    canonical = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"GET\n{parts.path}\n\n{canonical}\n{names}\n{NOTHING}"
    scope = f"{day}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    secret = f"AWS4{environment['AWS_SECRET_ACCESS_KEY']}".encode()
    for part in (day, region, "s3", "aws4_request"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    signature = hmac.digest(secret, text.encode(), "sha256").hex()
    who = f"Credential={environment['AWS_ACCESS_KEY_ID']}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 {who}, SignedHeaders={names}, Signature={signature}"
    return url, headers


def _url(bucket: str, key: str, environment: Mapping[str, str]) -> str:
    """Return an object's address; AWS's SDKs know the same variables for another endpoint."""
    path = quote(key, safe="/-_.~")
    other = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    if other:
        return f"{other.rstrip('/')}/{bucket}/{path}"
    region = environment["AWS_REGION"]
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{bucket}.s3.{region}.{suffix}/{path}"


def clear(folder: Path) -> None:
    """Remove what an earlier start that did not get to its end has left."""
    shutil.rmtree(folder, ignore_errors=True)
