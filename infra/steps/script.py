"""Recipe script: a user's own program trains, is judged by its own metric, and becomes a version."""

from __future__ import annotations

from contract import keys
from contract.recipes import SCRIPT
from contract.run import Outcome
from infra.asl import State, choice, code, expression, invoke, transient, when
from infra.steps.parts import Parts

IS_SCRIPT = f"$run.recipe.name = '{SCRIPT}'"
CHECKING = 900  # seconds to hash the largest archive


def is_script(*, yes: str, no: str) -> State:
    """Decide between a model that is evaluated here and one that only its script can measure."""
    return choice(when(IS_SCRIPT, yes), otherwise=no)


def judge(parts: Parts, *, then: str) -> State:
    """Call functions/judge.py: the script's final metric against the last version's."""
    event = {"run": "{% $run %}", "training_job": "{% $training.name %}", "model": "{% $training.model %}"}
    return invoke(
        parts.judge,
        event,
        then=then,
        seconds=CHECKING,
        retry=[transient("MetricMissing", first=5, times=3)],  # SageMaker shows a job's last metrics a little later
        assign={"evaluation": "{% $states.result.Payload %}"},
        output="{% $states.result.Payload.{'verdict': verdict, 'metrics': metrics} %}",
    )


def register(parts: Parts, *, then: str) -> State:
    """Call functions/register.py: the archive as the script wrote it becomes a version; no server here knows it."""
    return invoke(
        parts.register,
        {
            "run": "{% $run %}",
            "evaluation": "{% $evaluation %}",
            "training_job": "{% $training.name %}",
            "training_image": "{% $training.image %}",
            "code_uri": parts.artifact(f"{keys.SOURCE}"),
            "model": "{% $training.model %}",
        },
        then=then,
        seconds=120,
        assign={"package": "{% $states.result.Payload %}", "outcome": Outcome.REGISTERED.value},
    )


def channels(parts: Parts) -> str:
    """Return the code of a script's channels: folders of the upload, and its sources."""
    each = _channel("{% $c.name %}", f"'s3://{parts.artifacts_bucket}/' & $run.prefix & '{keys.UPLOAD}' & $c.path")
    sources = _channel("code", f"'s3://{parts.artifacts_bucket}/' & $run.prefix & '{keys.SOURCE}'")
    return f"$append([$map($run.script.channels, function($c) {{ {code(each)} }})], [{code(sources)}])"


def algorithm(image: str) -> str:
    """Return the code of a script's AlgorithmSpecification: without an entry point the image's own toolkit starts."""
    return code({
        "TrainingImage": image,
        "TrainingInputMode": "File",
        "MetricDefinitions": "{% [$run.script.metrics] %}",
    })  # fmt: skip


def _channel(name: str, uri: str) -> dict[str, object]:
    source = {"S3DataType": "S3Prefix", "S3Uri": expression(uri), "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "InputMode": "File"}
