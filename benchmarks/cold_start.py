"""What a cold start costs: each Lambda handler's import against a typical one's, and the inference server's start.

    python -m benchmarks.cold_start

Each import happens in an interpreter of its own. What counts is the processor time from the interpreter's start until
the handler could be called and has its first client, the DynamoDB one: the typical handler
(benchmarks/typical_handler.py) makes it when it is imported, ours when they first need one, so that they are asked for
it here. A handler that calls no AWS service (its import loads no botocore) makes none. Imports are bound by the
processor, on Lambda too, and other work on the machine does not count. Handlers take turns, and the best of several
rounds counts. The server is timed by the clock, from its process's start to the first 200 on /ping, with a small model.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import serve
from benchmarks.side_by_side import Goal, need, report

ROUNDS = 5
CALLS_AWS, CALLS_NONE = Goal(at_most=0.6), Goal(at_most=0.2)
TYPICAL = "benchmarks.typical_handler"
REPOSITORY = Path(__file__).parents[1]
PROGRAM = """
import importlib, json, sys, time
started = time.process_time()
importlib.import_module(sys.argv[1])
imported = time.process_time()
aws = "botocore" in sys.modules
if aws and sys.argv[1].startswith("functions."):
    from functions.shared import client
    client("dynamodb")
print(json.dumps({"import": imported - started, "ready": time.process_time() - started, "aws": aws}))
"""
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_EC2_METADATA_DISABLED": "true",
    # Lambda's own: without them Powertools' tracer knows that it is not on Lambda, and loads nothing.
    "AWS_LAMBDA_FUNCTION_NAME": "function",
    "AWS_LAMBDA_RUNTIME_API": "localhost:0",
    "LAMBDA_TASK_ROOT": str(REPOSITORY),
}


def handlers() -> list[str]:
    """Return the modules in functions/ that Lambda calls."""
    paths = sorted((REPOSITORY / "functions").glob("*.py"))
    return [f"functions.{path.stem}" for path in paths if _has_handler(ast.parse(path.read_text()))]


def _has_handler(module: ast.Module) -> bool:
    return any(isinstance(node, ast.FunctionDef) and node.name == "handler" for node in module.body)


def measure(module: str) -> dict[str, float]:
    """Return processor seconds of importing ``module`` in a new interpreter, and whether it can call AWS."""
    environment = {**os.environ, **ENVIRONMENT}
    command = [sys.executable, "-c", PROGRAM, module]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def server_seconds() -> float:
    """Return the seconds from the start of the inference server to its readiness."""
    with tempfile.TemporaryDirectory() as scratch:
        serve.write(Path(scratch))
        started = time.perf_counter()
        with serve.serving("ours", Path(scratch)) as url:
            ping = url.replace("/invocations", "/ping")
            while serve.get(ping) != 200:
                time.sleep(0.005)
            return time.perf_counter() - started


def main(rounds: int = ROUNDS) -> int:
    """Measure, and print what was found."""
    need(["aws_xray_sdk", "pydantic"], extra="benchmarks-lambda")
    best: dict[str, dict[str, float]] = {}
    ready = []
    for number in range(rounds):
        print(f"round {number + 1}", file=sys.stderr, flush=True)
        for module in (TYPICAL, *handlers()):
            found = measure(module)
            if module not in best or found["ready"] < best[module]["ready"]:
                best[module] = found
        ready.append(server_seconds())
    typical = best[TYPICAL]["ready"]
    table, ratios, goals = [], {}, {}
    for module, found in best.items():
        name = module.rpartition(".")[2]
        ratio = found["ready"] / typical
        table.append({
            "handler": name, "calls AWS": "yes" if found["aws"] else "no", "import ms": found["import"] * 1000,
            "import and client ms": found["ready"] * 1000, "of typical": ratio,
        })  # fmt: skip
        if module != TYPICAL:
            ratios[name] = ratio
            goals[name] = CALLS_AWS if found["aws"] else CALLS_NONE
    print(f"The inference server answers /ping {min(ready):.2f} s after its process started.", end="\n\n")
    return report("cold_start", table, ratios=ratios, goals=goals)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
