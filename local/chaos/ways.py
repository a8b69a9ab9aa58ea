"""The ways that are gone: what a person does, and how it ends when nothing goes wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from contract.config import Deploy
from local.chaos import scenes
from local.chaos.faults import ALWAYS, FailedJob, Fault, LostAnswer, MissingCapacity, RefusedCall, StoppedJob
from local.chaos.scenes import Scene
from local.chaos.way import Own, Way

DEPLOYED = "DEPLOYED"


def _refused(state: str, error: str = "AccessDeniedException", times: int = ALWAYS, nth: int = 1) -> Own:
    """A call of a state is refused."""
    return lambda project: (
        RefusedCall(state=state, execution=f"{project}-[!s]*", error=error, message="the lab", times=times, nth=nth),
    )


def _unheard(state: str) -> Own:
    return lambda project: (LostAnswer(state=state, execution=f"{project}-[!s]*"),)


def _job(kind: Callable[..., Fault], step: str, **more: object) -> Own:
    return lambda project: (kind(job=f"{project}-*-{step}-*", **more),)


SERVERLESS, REALTIME, FUNCTION = Deploy(target="serverless"), Deploy(target="realtime"), Deploy(target="lambda")
WATCHED = dataclasses.replace(REALTIME, shadow_percent=50, shadow_minutes=1, ab_percent=10, bake_minutes=1)
SCALED = dataclasses.replace(REALTIME, max_instances=2, invocations_per_instance=20)
STEPWISE = dataclasses.replace(FUNCTION, rollout="canary", bake_minutes=1, memory_mb=3072)
"""With the same memory, Lambda would say that it has this version already."""
QUEUED = Deploy(target="async", max_instances=2, min_instances=0, backlog_per_instance=5.0)
SEARCH = '[tune]\njobs = 2\nparallel = 2\nstrategy = "random"\n'
RANGES = '[tune.ranges]\nlearning_rate = { min = 1e-3, max = 1e-1, scale = "log" }\n'
APPROVED = scenes.FIXED + '[gate]\napprove = "manual"\n'


def _run(name: str, scene: Scene, good: str = DEPLOYED, **more: object) -> Way:
    chosen = {"machine": "pipeline", "begin": scenes.upload, "redriven": True, "data": "rows.csv", **more}
    return Way(name=name, scene=scene, good=good, **chosen)  # type: ignore[arg-type]


def _deployment(name: str, deploy: Deploy, before: Deploy | None, good: str = "Deployed", **more: object) -> Way:
    scene = scenes.champion(before) if before else scenes.nothing
    chosen = {"machine": "deployment", "begin": scenes.deploys(deploy), "target": deploy.target, **more}
    return Way(name=name, scene=scene, good=good, **chosen)  # type: ignore[arg-type]


SPOT = _run("spot", scenes.toml(spot=True))
RUNS = (
    SPOT,
    _run(
        "in jobs",
        scenes.toml(hosts=2, prepare="lambda_limit_mb = 0", more=APPROVED),
        begin=scenes.upload_approved,
        hosts=2,
    ),
    _run("no spot machines", scenes.toml(spot=True), faults=_job(MissingCapacity, "spot")),
    _run(
        "training fails",
        scenes.toml(spot=True),
        faults=_job(FailedJob, "spot", reason="AlgorithmError: the program failed, exit code: 1"),
    ),
    _run("training stopped", scenes.toml(), faults=_job(StoppedJob, "train")),
    _run("search", scenes.toml(more=SEARCH + RANGES)),
    _run("next search", scenes.after_a_run(scenes.toml(more=SEARCH + "warm_start = true\n" + RANGES))),
    _run("search among recipes", scenes.toml(recipe="auto", more=SEARCH)),
    _run(
        "search finds nothing",
        scenes.toml(more=SEARCH + RANGES),
        faults=_job(FailedJob, "tune", reason="AlgorithmError: the program failed, exit code: 1", times=2),
    ),
    _run("script", scenes.script, good="REGISTERED"),
    _run("nobody approves", scenes.toml(spot=True, more=APPROVED + "approve_hours = 1\n"), good="KEPT_CHAMPION"),
)
DEPLOYMENTS = (
    _deployment("next version", SERVERLESS, SERVERLESS),
    _deployment("first version", SERVERLESS, None),
    _deployment("shadow and A/B", WATCHED, REALTIME),
    _deployment("scaled", SCALED, SCALED),
    _deployment("function", STEPWISE, FUNCTION),
    _deployment("edge", Deploy(target="edge"), None),
    _deployment("queued", QUEUED, QUEUED),
    _deployment("creation unheard", SERVERLESS, None, faults=_unheard("Create model")),
    _deployment(
        "taken back",
        WATCHED,
        REALTIME,
        good="FAILED: CloudWatch.CloudWatchException",
        faults=_refused("Look at challenger's alarms"),
    ),
    _deployment(
        "function taken back",
        STEPWISE,
        FUNCTION,
        good="FAILED: Lambda.AWSLambdaException",
        faults=_refused("Shift traffic", nth=2),
    ),
    _deployment(
        "first function taken back",
        STEPWISE,
        None,
        good="FAILED: DynamoDB.AmazonDynamoDBException",
        faults=_refused("Make function champion"),
    ),
    _deployment(
        "scaled as before",
        SCALED,
        SCALED,
        good="FAILED: SageMaker.SageMakerException",
        faults=_refused("Update endpoint"),
    ),
    _deployment(
        "queued as before",
        QUEUED,
        QUEUED,
        good="FAILED: SageMaker.SageMakerException",
        faults=_refused("Update endpoint"),
    ),
    _deployment("not scaled", SCALED, SCALED, faults=_refused("Stop scaling variant", "ObjectNotFoundException", 1)),
    _deployment(
        "champion changed",
        SERVERLESS,
        None,
        good="Champion changed",
        begin=scenes.deploys(SERVERLESS, expected_champion="another"),
    ),
)
OTHERS = (
    Way(name="batch", machine="batch", good="Answered", begin=scenes.answers, scene=scenes.champion(SERVERLESS)),
    Way(name="batch stopped", machine="batch", good="FAILED: Stopped", begin=scenes.takes_over,
        scene=scenes.champion(SERVERLESS), recovers=True),
    Way(name="batch twice", machine="batch", good="Nothing to answer", begin=scenes.answers_again,
        scene=scenes.champion(SERVERLESS)),
    Way(name="to sleep", machine="sleep", good="As wanted", begin=scenes.sleeps(True),
        scene=scenes.champion(REALTIME), target="realtime"),
    Way(name="awake", machine="sleep", good="As wanted", begin=scenes.sleeps(False), scene=scenes.asleep(SCALED),
        target="realtime"),
    Way(name="waking unheard", machine="sleep", good="As wanted", begin=scenes.sleeps(False),
        scene=scenes.asleep(REALTIME), target="realtime", faults=_unheard("Create endpoint")),
    Way(name="no sleep", machine="sleep", good="FAILED: SageMaker.SageMakerException", begin=scenes.sleeps(True),
        scene=scenes.champion(REALTIME), target="realtime", faults=_refused("Delete endpoint")),
)  # fmt: skip
WAYS = {way.name: way for way in (*RUNS, *DEPLOYMENTS, *OTHERS)}
"""Those of a machine in this order: a state that several of them pass meets its faults on the first."""

UNREACHED = {
    ("pipeline", "Wait for machines"): "other runs hold the account's machines for hours",
    ("pipeline", "Champion keeps changing"): "three runs of a project overtake this one, one after the other",
    ("pipeline", "Build serving image"): "the image is built once an account, before the lab's first cell",
    ("pipeline", "Stop search"): "the longest time of a search is real minutes",
    ("deployment", "Lease is held"): "it is tried for nine hours before",
    ("deployment", "Let scaling end"): "an instance comes at the very moment of an update",
    ("deployment", "Delete failed endpoint"): "SageMaker itself has to fail twice",
    ("deployment", "Put endpoint back"): "likewise",
    ("sleep", "Put its alarm"): "asynchronous endpoints have alarms of their own, and do not sleep",
    ("sleep", "Lease is held"): "it is tried for nine hours before",
}
"""States that no way passes, and why. Each is run by itself, in tests/e2e/test_state_by_state.py."""
