"""Predictions a second over HTTP: our server against FastAPI, LitServe and BentoML, with the same ONNX model.

    python -m benchmarks.serve

32 connections ask with the same body of about 6 KB: seven rows of thirty numbers, the columns of the Wisconsin breast
cancer data, as JSON. The model is a small perceptron, so that the servers are measured and not it. Every server
validates: it must refuse a text where a number belongs, an unknown column and a missing one, and its answers must equal
ours. The load comes from wrk (`apt-get install wrk`), which takes a fraction of a core; server and load share the
machine. Servers take turns, one runs at a time, and each one's best round counts, as other work can only slow it down.
Our server is measured with joining off as well (TANDEM_SERVING_JOIN=1).
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.side_by_side import MISSING_PEER, Goal, need, report
from contract.manifest import FORMAT, Feature, ModelManifest, Schema, Tensor

CONNECTIONS, SECONDS, ROUNDS, ROWS = 32, 5, 5, 7
PATIENCE = 60  # seconds, for a server to start
GOALS = {"fastapi": 4.0, "litserve": 8.0, "bentoml": 12.0}
OURS = {"ours": {}, "ours, never joined": {"TANDEM_SERVING_JOIN": "1"}}
LABELS = ("malignant", "benign")
MEASURES = ("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave_points",
            "symmetry", "fractal_dimension")  # fmt: skip
COLUMNS = tuple(f"{kind}_{measure}" for kind in ("mean", "error", "worst") for measure in MEASURES)
REPOSITORY = Path(__file__).parents[1]
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open(os.getenv("BODY"), "rb")
wrk.body = file:read("*all")
file:close()
function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('\\n{"requests": %d, "microseconds": %d, "p50": %.1f, "p99": %.1f, "failed": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed))
end
"""


def network(widths: tuple[int, ...] = (len(COLUMNS), 64, 32, len(LABELS))) -> onnx.ModelProto:
    """Return a perceptron with random weights: float32 [n, 30] ``numeric`` to ``probabilities``; NaN counts as 0."""
    source = np.random.default_rng(0)
    nodes = [helper.make_node("IsNaN", ["numeric"], ["missing"]),
             helper.make_node("Where", ["missing", "zero", "numeric"], ["layer0"])]  # fmt: skip
    constants = [numpy_helper.from_array(np.zeros((), np.float32), "zero")]
    for layer, (rows, columns) in enumerate(itertools.pairwise(widths)):
        weights = source.normal(scale=rows**-0.5, size=(rows, columns)).astype(np.float32)
        constants += [numpy_helper.from_array(weights, f"w{layer}"),
                      numpy_helper.from_array(np.zeros(columns, np.float32), f"b{layer}")]  # fmt: skip
        last = layer == len(widths) - 2
        nodes += [helper.make_node("Gemm", [f"layer{layer}", f"w{layer}", f"b{layer}"], [f"sum{layer}"]),
                  helper.make_node("Softmax" if last else "Relu", [f"sum{layer}"],
                                   ["probabilities" if last else f"layer{layer + 1}"])]  # fmt: skip
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "perceptron", [tensor("numeric", TensorProto.FLOAT, ["n", len(COLUMNS)])],
                              [tensor("probabilities", TensorProto.FLOAT, ["n", len(LABELS)])], constants)  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def write(folder: Path) -> None:
    """Write the model archive, what the peers need of it, the request and wrk's script."""
    model = folder / "model" / "model.onnx"
    model.parent.mkdir()
    model.write_bytes(network().SerializeToString())
    schema = Schema(
        task="classification",
        inputs=(Tensor(name="numeric", dtype="float32", shape=(-1, len(COLUMNS))),),
        features=tuple(Feature(name=name, kind="number", statistics={"mean": 0.0}) for name in COLUMNS),
        labels=LABELS,
        target="diagnosis",
    )
    manifest = ModelManifest(
        format=FORMAT, tenant="acme", project="cells", run="cells-0", recipe="tabular", options={},
        form="onnx-float32", schema=schema, files={model.name: hashlib.sha256(model.read_bytes()).hexdigest()},
    )  # fmt: skip
    model.with_name("manifest.json").write_text(json.dumps(manifest.to_dict()))
    shutil.copy(model, folder / "model.onnx")
    (folder / "columns.json").write_text(json.dumps(COLUMNS))
    rows = np.random.default_rng(1).normal(size=(ROWS, len(COLUMNS))).round(6).tolist()
    body = {"instances": [dict(zip(COLUMNS, row, strict=True)) for row in rows]}
    (folder / "body.json").write_text(json.dumps(body))
    (folder / "wrk.lua").write_text(SCRIPT)


@contextlib.contextmanager
def serving(name: str, folder: Path) -> Iterator[str]:
    """Run one server, and yield the URL that answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "SAGEMAKER_BASE_DIR": str(folder), "PORT": port, "TANDEM_SERVING_HOST": "127.0.0.1"}
    environment |= {"BENCHMARK_FOLDER": str(folder), "BENCHMARK_PORT": port, "BENTOML_DO_NOT_TRACK": "True"}
    environment |= OURS.get(name, {})
    command = [sys.executable, "-m", f"benchmarks.serve_peers.with_{name}"]
    if name in OURS:
        command = [sys.executable, "-m", "serving", "serve"]
    elif name == "bentoml":
        service = "benchmarks.serve_peers.with_bentoml:Cells"
        command = [str(Path(sys.executable).with_name("bentoml")), "serve", service, "--host", "127.0.0.1",
                   "--port", port]  # fmt: skip
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}/invocations"
        _wait(url, process, folder / f"{name}.log")
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            if ask(url, b"{}")[0] in range(400, 500):
                return
        time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer; its log says: {log.read_text()[-2000:]}")


def ask(url: str, body: bytes) -> tuple[int, Any]:
    """Return status and answer."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, None


def get(url: str) -> int:
    """Return the status of a GET; 0 while nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def check(name: str, url: str, body: dict[str, Any], expected: np.ndarray) -> None:
    """Refuse a server that does not validate, or answers otherwise than the model."""
    first = body["instances"][0]
    wrong: list[dict[str, Any]] = [
        {**first, COLUMNS[0]: "1,5"},
        {**first, "colour": 1},
        {key: value for key, value in first.items() if key != COLUMNS[-1]},
    ]
    for row in wrong:
        status, _ = ask(url, json.dumps({"instances": [row]}).encode())
        if not 400 <= status < 500:
            raise RuntimeError(f"{name} answers {status} to a wrong row")
    _, answer = ask(url, json.dumps(body).encode())
    given = [[row["probabilities"][label] for label in LABELS] for row in answer["predictions"]]
    if np.abs(np.array(given) - expected).max() > 1e-5:
        raise RuntimeError(f"{name} answers {given}, not {expected.tolist()}")


def load(url: str, folder: Path, seconds: int) -> dict[str, float]:
    """Return what wrk measured: requests a second, and percentiles in milliseconds.

    Raises:
        RuntimeError: when a request failed.
    """
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--timeout",
        "30s",
        "-s",
        str(folder / "wrk.lua"),
        url,
    ]
    environment = {**os.environ, "BODY": str(folder / "body.json")}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    found = json.loads(done.stdout.splitlines()[-1])
    if found["failed"]:
        raise RuntimeError(f"{url}: {found['failed']} of {found['requests']} requests failed")
    rate = found["requests"] / found["microseconds"] * 1e6
    return {"requests/s": rate, "p50 ms": found["p50"] / 1000, "p99 ms": found["p99"] / 1000}


def main(rounds: int = ROUNDS) -> int:
    """Measure, and print what was found."""
    need(["fastapi", "litserve", "bentoml"], extra="benchmarks-serve")
    if not shutil.which("wrk"):
        print("wrk: not installed; apt-get install wrk", file=sys.stderr)
        return MISSING_PEER
    best: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(folder)
        body = json.loads((folder / "body.json").read_text())
        session = onnx_session(folder / "model.onnx")
        rows = np.array([list(row.values()) for row in body["instances"]], np.float32)
        expected = session.run(None, {"numeric": rows})[0]
        for number in range(rounds):
            for name in (*OURS, *GOALS):
                with serving(name, folder) as url:
                    check(name, url, body, expected)
                    load(url, folder, 1)  # to warm up
                    found = load(url, folder, SECONDS)
                print(f"round {number + 1}  {name}: {found['requests/s']:,.0f} requests/s", file=sys.stderr, flush=True)
                if name not in best or found["requests/s"] > best[name]["requests/s"]:
                    best[name] = found
    table = [{"server": name, **found} for name, found in best.items()]
    ratios = {
        f"ours / {name}": best["ours"]["requests/s"] / best[name]["requests/s"] for name in best if name != "ours"
    }
    goals = {f"ours / {name}": Goal(at_least=goal) for name, goal in GOALS.items()}
    for name in GOALS:
        ratios[f"p99: ours / {name}"] = best["ours"]["p99 ms"] / best[name]["p99 ms"]
        goals[f"p99: ours / {name}"] = Goal(at_most=1.0)
    return report("serve", table, ratios=ratios, goals=goals)


def onnx_session(path: Path) -> Any:
    """Return the model as ONNX Runtime has it."""
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
