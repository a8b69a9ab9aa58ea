"""Functions run in processes of their own, as Lambda runs them."""

from __future__ import annotations

import base64
import io
import re
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
import requests
from botocore.exceptions import ClientError

from local.cloud import Cloud
from tests.local.functions import Function, packed, role

PID = "import os\ndef handler(event, context):\n    return os.getpid()\n"


def test_a_handler_gets_its_event_its_context_and_its_environment(cloud: Cloud) -> None:
    code = """
import os
def handler(event, context):
    names = ("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_REGION", "_HANDLER", "OWN", "HOME")
    return {"event": event, "name": context.function_name, "left": context.get_remaining_time_in_millis(),
            "arn": context.invoked_function_arn, "environment": {name: os.environ.get(name) for name in names},
            "here": os.getcwd() == os.environ["LAMBDA_TASK_ROOT"]}
"""
    function = Function(cloud, code, Environment={"Variables": {"OWN": "yes", "AWS_REGION": "eu-north-9"}})
    answer = function.invoke({"a": "ä\n\"'"})["payload"]
    assert answer["event"] == {"a": "ä\n\"'"}
    assert (answer["name"], answer["arn"], answer["here"]) == (function.name, function.arn, True)
    assert 8000 < answer["left"] <= 10000
    environment = answer["environment"]
    assert environment["OWN"] == "yes"
    assert environment["AWS_REGION"] == "us-east-1"  # reserved: the function's own does not win
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert environment["HOME"].startswith(str(cloud.root))


def test_its_aws_clients_reach_the_cloud(cloud: Cloud) -> None:
    code = (
        "import boto3\ndef handler(event, context):\n    return boto3.client('sts').get_caller_identity()['Account']\n"
    )
    assert Function(cloud, code).invoke()["payload"] == "123456789012"


def test_it_sees_its_archive_and_the_installed_packages_but_not_the_checkout(cloud: Cloud) -> None:
    code = """
import importlib.util
def handler(event, context):
    return {name: importlib.util.find_spec(name) is not None for name in event}
"""
    seen = Function(cloud, code).invoke(["app", "boto3", "aws_lambda_powertools", "local", "contract"])["payload"]
    assert seen == {"app": True, "boto3": True, "aws_lambda_powertools": True, "local": False, "contract": False}


def test_a_process_is_used_again_and_joined_by_another_when_busy(cloud: Cloud) -> None:
    function = Function(cloud, "import os, time\ndef handler(e, c):\n    time.sleep(e['s'])\n    return os.getpid()\n")
    first, second = (function.invoke({"s": 0})["payload"] for _ in range(2))
    assert first == second
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: function.invoke({"s": 0.5})["payload"], range(2)))
    assert len(set(both)) == 2


def test_new_code_and_new_configuration_are_cold_starts(cloud: Cloud) -> None:
    function = Function(cloud, PID)
    first = function.invoke()["payload"]
    function.client.update_function_configuration(FunctionName=function.name, Environment={"Variables": {"A": "b"}})
    second = function.invoke()["payload"]
    function.client.update_function_code(
        FunctionName=function.name, ZipFile=packed("def handler(e, c):\n    return 'new'\n")
    )
    assert first != second
    assert function.invoke()["payload"] == "new"
    assert not psutil.pid_exists(first) or psutil.Process(first).status() == psutil.STATUS_ZOMBIE


def test_an_exception_is_an_unhandled_error_with_its_trace_in_answer_and_log(cloud: Cloud) -> None:
    function = Function(cloud, "def handler(e, c):\n    raise ValueError('bad ' + e['x'])\n")
    answer = function.invoke({"x": "news"})
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert (answer["payload"]["errorType"], answer["payload"]["errorMessage"]) == ("ValueError", "bad news")
    assert "raise ValueError" in answer["payload"]["stackTrace"][0]
    trace = next(line for line in function.lines() if line.startswith("[ERROR] ValueError: bad news"))
    assert "raise ValueError" in trace  # one event, not one a line


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("import nothing_like_it\n", "Runtime.ImportModuleError", "No module named 'nothing_like_it'"),
        ("x = 1\n", "Runtime.HandlerNotFound", "Handler 'handler' missing"),
        ("def handler(:\n", "Runtime.UserCodeSyntaxError", "Syntax error"),
        ("import os\nos._exit(7)\n", "Runtime.ExitError", "exit status 7"),
    ],
)
def test_a_function_that_cannot_start_says_why(cloud: Cloud, code: str, kind: str, text: str) -> None:
    answer = Function(cloud, code).invoke()
    assert (answer["FunctionError"], answer["payload"]["errorType"]) == ("Unhandled", kind)
    assert text in answer["payload"]["errorMessage"]


def test_a_function_past_its_timeout_is_killed(cloud: Cloud) -> None:
    function = Function(cloud, "import time\ndef handler(e, c):\n    time.sleep(e['s'])\n    return 1\n", Timeout=1)
    answer = function.invoke({"s": 30})
    assert answer["payload"]["errorType"] == "Sandbox.Timedout"
    assert answer["payload"]["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert any(line.endswith("Task timed out after 1.00 seconds") for line in function.lines())
    assert function.invoke({"s": 0})["payload"] == 1


def test_a_function_that_ends_its_process_leaves_no_other_behind(cloud: Cloud) -> None:
    code = """
import os, subprocess
def handler(event, context):
    child = subprocess.Popen(["sleep", "600"])
    print("child", child.pid, flush=True)
    os._exit(3)
"""
    function = Function(cloud, code)
    answer = function.invoke()
    assert "exit status 3" in answer["payload"]["errorMessage"]
    (pid,) = re.findall(r"child (\d+)", " ".join(function.lines()))
    deadline = time.monotonic() + 5
    while psutil.pid_exists(int(pid)) and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_function_above_its_memory_is_killed(cloud: Cloud) -> None:
    code = "import time\ndef handler(e, c):\n    x = b'x' * (400 << 20)\n    time.sleep(5)\n"
    answer = Function(cloud, code, MemorySize=128).invoke()
    assert answer["payload"]["errorType"] == "Runtime.ExitError"
    assert answer["payload"]["errorMessage"].endswith("Runtime exited with error: signal: killed")


def test_the_log_has_start_output_end_and_report(cloud: Cloud) -> None:
    function = Function(cloud, "import sys\ndef handler(e, c):\n    print('out')\n    print('err', file=sys.stderr)\n")
    function.invoke()
    lines = function.lines()
    assert [line.split()[0] for line in lines] == ["START", "out", "err", "END", "REPORT"]
    assert "Memory Size: 256 MB" in lines[-1]
    assert "Init Duration" in lines[-1]
    streams = cloud.client("logs").describe_log_streams(logGroupName=f"/aws/lambda/{function.name}")["logStreams"]
    assert "/[$LATEST]" in streams[0]["logStreamName"]


def test_the_tail_of_the_log_comes_with_the_answer_when_asked(cloud: Cloud) -> None:
    answer = Function(cloud, "def handler(e, c):\n    print('hello')\n").invoke(LogType="Tail")
    assert "hello" in base64.b64decode(answer["LogResult"]).decode()


def test_too_much_input_and_broken_json_are_refused(cloud: Cloud) -> None:
    function = Function(cloud, PID)
    for size, kind in ((6 << 20, "RequestResponse"), (256 << 10, "Event")):
        with pytest.raises(ClientError, match="RequestEntityTooLargeException"):
            function.invoke("x" * size, InvocationType=kind)
    with pytest.raises(ClientError, match="InvalidRequestContentException"):
        function.invoke(Payload=b"{not json")


def test_too_much_output_is_an_error(cloud: Cloud) -> None:
    answer = Function(cloud, "def handler(e, c):\n    return 'x' * e\n").invoke(7 << 20)
    assert answer["payload"]["errorType"] == "Function.ResponseSizeTooLarge"


def test_an_unknown_function_is_not_found(cloud: Cloud) -> None:
    with pytest.raises(cloud.client("lambda").exceptions.ResourceNotFoundException):
        cloud.client("lambda").invoke(FunctionName="nobody")


def test_versions_and_aliases_run_the_code_they_point_to(cloud: Cloud) -> None:
    function = Function(cloud, "def handler(e, c):\n    return ['one', c.function_version, c.invoked_function_arn]\n")
    client = function.client
    client.publish_version(FunctionName=function.name)
    client.create_alias(FunctionName=function.name, Name="live", FunctionVersion="1")
    client.update_function_code(FunctionName=function.name, ZipFile=packed("def handler(e, c):\n    return 'two'\n"))
    assert function.invoke()["payload"] == "two"
    answer = function.invoke(FunctionName=f"{function.arn}:live")
    assert answer["payload"] == ["one", "1", f"{function.arn}:live"]
    assert answer["ExecutedVersion"] == "1"
    assert function.invoke(Qualifier="1")["payload"][2] == f"{function.arn}:1"
    client.publish_version(FunctionName=function.name)
    weights = {"AdditionalVersionWeights": {"2": 1.0}}
    client.update_alias(FunctionName=function.name, Name="live", FunctionVersion="1", RoutingConfig=weights)
    assert function.invoke(Qualifier="live")["payload"] == "two"


def test_reserved_concurrency_throttles(cloud: Cloud) -> None:
    function = Function(cloud, PID)
    function.client.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    with pytest.raises(function.client.exceptions.TooManyRequestsException):
        function.invoke()


def test_layers_of_this_account_are_unpacked_and_others_accepted(cloud: Cloud) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("python/from_layer.py", "VALUE = 'layer'\n")
    layer = cloud.client("lambda").publish_layer_version(LayerName="own", Content={"ZipFile": buffer.getvalue()})
    powertools = "arn:aws:lambda:us-east-1:017000801446:layer:AWSLambdaPowertoolsPythonV3-python312-arm64:18"
    code = "import from_layer\ndef handler(e, c):\n    return from_layer.VALUE\n"
    function = Function(cloud, code, Layers=[powertools, layer["LayerVersionArn"]])
    assert function.invoke()["payload"] == "layer"
    config = function.client.get_function_configuration(FunctionName=function.name)
    assert [item["Arn"] for item in config["Layers"]] == [powertools, layer["LayerVersionArn"]]
    with pytest.raises(ClientError, match="ResourceNotFound"):
        Function(cloud, code, Layers=[layer["LayerVersionArn"].replace("own", "none")])


def test_a_runtime_that_is_not_python_is_refused_by_name(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match=r"NotImplemented.*nodejs22.x"):
        Function(cloud, "exports.handler = async () => 1", Runtime="nodejs22.x").invoke()


def test_a_dead_letter_queue_storage_and_logging_are_kept(cloud: Cloud) -> None:
    queue = "arn:aws:sqs:us-east-1:123456789012:dead"
    function = Function(
        cloud, PID, DeadLetterConfig={"TargetArn": queue}, LoggingConfig={"LogFormat": "JSON", "LogGroup": "/mine"}
    )
    function.client.update_function_configuration(FunctionName=function.name, EphemeralStorage={"Size": 2048})
    config = function.client.get_function_configuration(FunctionName=function.name)
    assert config["DeadLetterConfig"] == {"TargetArn": queue}
    assert config["LoggingConfig"]["LogGroup"] == "/mine"
    assert config["EphemeralStorage"] == {"Size": 2048}
    function.invoke()
    events = cloud.client("logs").filter_log_events(logGroupName="/mine")["events"]
    assert any(event["message"].startswith("START") for event in events)


def test_a_long_invocation_keeps_nobody_waiting(cloud: Cloud) -> None:
    function = Function(cloud, "import time\ndef handler(e, c):\n    time.sleep(2)\n")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(function.invoke)
        time.sleep(0.3)
        before = time.monotonic()
        cloud.client("s3").list_buckets()
        assert time.monotonic() - before < 1
        assert not slow.done()


def test_moto_itself_runs_no_handler(vanilla: Any) -> None:
    without_docker = {"lambda": {"use_docker": False}}
    requests.post(f"{vanilla.url}/moto-api/config", json=without_docker, timeout=10).raise_for_status()
    client = vanilla.client("lambda")
    settings = {"Runtime": "python3.12", "Handler": "app.handler", "Role": role(vanilla.client)}
    client.create_function(
        FunctionName="f", Code={"ZipFile": packed("def handler(e, c):\n    return 42\n")}, **settings
    )
    assert client.invoke(FunctionName="f", Payload=b"{}")["Payload"].read() != b"42"


def test_moto_itself_drops_the_dead_letter_queue_and_refuses_foreign_layers(vanilla: Any) -> None:
    client = vanilla.client("lambda")
    settings = {"Runtime": "python3.12", "Handler": "app.handler", "Role": role(vanilla.client)}
    code = {"ZipFile": packed("x = 1")}
    queue = {"TargetArn": "arn:aws:sqs:us-east-1:123456789012:dead"}
    client.create_function(FunctionName="dead", Code=code, DeadLetterConfig=queue, **settings)
    assert "DeadLetterConfig" not in client.get_function_configuration(FunctionName="dead")
    foreign = ["arn:aws:lambda:us-east-1:017000801446:layer:Powertools:1"]
    with pytest.raises(ClientError):
        client.create_function(FunctionName="layered", Code=code, Layers=foreign, **settings)


def test_an_answer_that_comes_twice_is_not_the_next_event_s(cloud: Cloud) -> None:
    code = """
import json, os, urllib.request
def handler(event, context):
    path = f"/2018-06-01/runtime/invocation/{context.aws_request_id}/response"
    address = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + path
    urllib.request.urlopen(urllib.request.Request(address, data=json.dumps(event).encode(), method="POST")).read()
    return event
"""
    function = Function(cloud, code)
    assert [function.invoke(number)["payload"] for number in range(1, 4)] == [1, 2, 3]
