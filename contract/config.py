"""The sections of project.toml: every setting, its default, its limits and what it does.

Recipes override these defaults (``recipes.json``), project.toml overrides the
recipe's, a request overrides both. Reference: docs/reference/project-toml.md,
generated from these classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contract import batch
from contract.forms import FLOAT32, FORMS, INT8
from contract.parsing import setting
from contract.prices import load_prices

INSTANCE = r"ml\.[a-z0-9-]+\.[a-z0-9]+"
TRAINING, PROCESSING = tuple(load_prices().training), tuple(load_prices().processing)


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """How an upload becomes a dataset."""

    target: str = setting("Column that the model learns to predict (tables only).", default="")
    exclude: tuple[str, ...] = setting("Columns that the model must not see.", default=())
    validation_fraction: float = setting(
        "Share of rows that training watches but does not learn from.", default=0.1, minimum=0.01, maximum=0.5
    )
    test_fraction: float = setting(
        "Share of rows held out for evaluation; no training sees them.", default=0.2, minimum=0.01, maximum=0.5
    )
    replay: float = setting(
        "Rows of earlier uploads that are learned again, for each new row, so that they are not forgotten; as many as "
        "the version in service has kept. 0 = none, and none are kept.",
        default=0.0, minimum=0.0, maximum=10.0,
    )  # fmt: skip
    max_rejected_fraction: float = setting(
        "Share of rows that may be bad before the whole dataset is rejected.", default=0.05, minimum=0.0, maximum=1.0
    )
    shard_mb: int = setting("Size of one packed shard, in MiB.", default=64, minimum=1, maximum=1024)
    lambda_limit_mb: int = setting(
        "Uploads up to this size, in MiB, are prepared in Lambda (seconds); larger ones in a job (minutes).",
        default=100, minimum=0, maximum=500,
    )  # fmt: skip
    instance: str = setting(
        "Instance type of the preparation job.", default="ml.m5.xlarge", pattern=INSTANCE, examples=PROCESSING
    )
    engine: str = setting(
        "'embedded' prepares on one machine; 'spark' on several, tables of many files (always in a job).",
        default="embedded", choices=("embedded", "spark"),
    )  # fmt: skip
    hosts: int = setting("Machines of the preparation job ('spark' only).", default=1, minimum=1, maximum=64)
    isolation: str = setting(
        "Network isolation of the preparation job. Spark's machines talk to each other, so 'spark' needs 'off'.",
        default="on", choices=("on", "off"),
    )  # fmt: skip
    max_minutes: int = setting("Longest time the preparation job may run.", default=60, minimum=1, maximum=1440)


@dataclass(frozen=True, kw_only=True)
class Train:
    """How the model learns, and on what machines."""

    start: str = setting(
        "What training begins with: 'fresh' weights, or those of the 'champion', the version in service, where the "
        "model still looks alike; otherwise it trains afresh and says why.",
        default="fresh", choices=("fresh", "champion"),
    )  # fmt: skip
    epochs: int = setting("Passes over the training rows.", default=10, minimum=1, maximum=10_000)
    batch_size: int = setting(
        "Rows in one update, over all hosts and devices together.", default=64, minimum=1, maximum=1_048_576
    )
    learning_rate: float = setting("Peak step size of the optimiser.", default=1e-3, minimum=1e-8, maximum=10.0)
    weight_decay: float = setting(
        "Decay of the weights: decoupled (adamw), or added to the gradient (sgd).",
        default=1e-2, minimum=0.0, maximum=1.0,
    )  # fmt: skip
    optimiser: str = setting(
        "'adamw' suits nearly everything; 'sgd' is stochastic gradient descent with momentum.",
        default="adamw", choices=("adamw", "sgd"),
    )  # fmt: skip
    momentum: float = setting("Momentum of sgd; adamw has none.", default=0.0, minimum=0.0, maximum=0.999)
    clip_norm: float = setting(
        "Longest gradient of an update (L2 norm over all parameters); longer ones are shortened to it. 0 = off.",
        default=0.0, minimum=0.0,
    )  # fmt: skip
    accumulation: int = setting(
        "Micro-batches that each device computes one after the other in an update: divides the memory that a batch "
        "needs, and changes no gradient.",
        default=1, minimum=1, maximum=1024,
    )  # fmt: skip
    seed: int = setting("Seed of every random choice; the same seed gives the same model.", default=0, minimum=0)
    precision: str = setting(
        "Arithmetic on GPUs: bf16 autocast, or full fp32.", default="fp32", choices=("fp32", "bf16")
    )
    compile: bool = setting(
        "Compile the network with torch.compile: slower to start (half a minute or more), faster after.", default=False
    )
    strategy: str = setting(
        "'ddp': every device holds the whole model. 'fsdp': the devices divide parameters, gradients and the "
        "optimiser's state among them, for models larger than one device.",
        default="ddp", choices=("ddp", "fsdp"),
    )  # fmt: skip
    communication: str = setting(
        "How ddp exchanges gradients: 'none' as they are; 'fp16' rounded to half precision, half the traffic; "
        "'powersgd' compressed to powersgd_rank with error feedback, a small part of the traffic.",
        default="none", choices=("none", "fp16", "powersgd"),
    )  # fmt: skip
    powersgd_rank: int = setting(
        "Rank of the matrices that powersgd sends: higher is more exact, and more traffic.",
        default=1, minimum=1, maximum=64,
    )  # fmt: skip
    shares: tuple[float, ...] = setting(
        "Share of each batch that each host computes, in proportion to these numbers (lambda), in the order of the "
        "hosts; [2, 1] suits a host that is twice as fast as the other. Empty: equal shares.",
        default=(), maximum=64,
    )  # fmt: skip
    rebalance: bool = setting(
        "Measure how fast each device computes and divide the batches in proportion, again and again while training; "
        "shares, if any, are the start.",
        default=False,
    )  # fmt: skip
    patience: int = setting(
        "Training ends early after so many epochs in which neither the metric of the validation rows nor, where that "
        "stays the same, their loss got better by a ten-thousandth. 0 = off.",
        default=0, minimum=0,
    )  # fmt: skip
    max_loss: float = setting(
        "A batch whose mean loss is higher stops the training, as one that is not a number always does. 0 = off.",
        default=0.0, minimum=0.0,
    )  # fmt: skip
    rank_timeout_seconds: int = setting(
        "A process that makes no step for so long hangs: the job fails and names it.",
        default=300, minimum=2, maximum=86_400,
    )  # fmt: skip
    min_gpu_percent: float = setting(
        "A job whose GPUs do less than this for idle_gpu_minutes is stopped after its checkpoint, because it would be "
        "paid for nothing: percent of a GPU, on average over a host's, on every host and in every minute. 0 = off.",
        default=1.0, minimum=0.0, maximum=100.0,
    )  # fmt: skip
    idle_gpu_minutes: int = setting(
        "How long GPUs may do less than min_gpu_percent; it is looked at every quarter of an hour.",
        default=30, minimum=10, maximum=1440,
    )  # fmt: skip
    checkpoint_every: int = setting("Epochs between checkpoints.", default=1, minimum=1)
    hosts: int = setting("Machines that train together.", default=1, minimum=1, maximum=64)
    instance: str = setting(
        "Instance type that is tried first.", default="ml.g5.xlarge", pattern=INSTANCE, examples=TRAINING
    )
    fallback_instances: tuple[str, ...] = setting(
        "Types that SageMaker may fall back to on missing capacity, best first (on-demand only).",
        default=(),
        maximum=4,
        pattern=INSTANCE,
        examples=TRAINING,
    )
    groups: dict[str, int] = setting(
        "A cluster of several instance types: type = number of hosts of it. In place of instance, hosts and "
        "fallback_instances; shares, if given, name the hosts in the order of this table.",
        default_factory=dict, minimum=1, maximum=64,
    )  # fmt: skip
    spot: bool = setting("Try managed spot first: cheaper, may be interrupted, resumes from checkpoints.", default=True)
    max_minutes: int = setting(
        "Longest time one training job may run. 0 = as long as budget.max_usd_per_run pays for, at worst, and at most "
        "5 days, an account's quota until it asks for more.",
        default=60, minimum=0, maximum=40_320,
    )  # fmt: skip
    spot_wait_minutes: int = setting(
        "Longest time to wait for spot capacity, on top of max_minutes.", default=30, minimum=1, maximum=40_320
    )
    volume_gb: int = setting("Disk of each host, in GB.", default=30, minimum=1, maximum=16_384)
    input_mode: str = setting(
        "'file' copies the dataset to each host's disk first; 'fastfile' streams it from S3 while it is learned.",
        default="file", choices=("file", "fastfile"),
    )  # fmt: skip
    shuffle_mb: int = setting(
        "Memory of a host for shuffling, in MiB, however many GPUs it has: rows that fit are mixed as a whole, larger "
        "datasets half so much at a time.",
        default=1024, minimum=1, maximum=1_048_576,
    )  # fmt: skip
    isolation: str = setting(
        "Network isolation of the training container. 'off' is recorded in the audit trail.",
        default="on", choices=("on", "off"),
    )  # fmt: skip

    @property
    def machines(self) -> dict[str, int]:
        """The cluster: instance type = number of hosts of it."""
        return self.groups or {self.instance: self.hosts}

    @property
    def cluster(self) -> str:
        """The cluster's instance types, in one word."""
        return "+".join(self.machines)

    @property
    def host_count(self) -> int:
        """Machines that train together."""
        return sum(self.machines.values())


@dataclass(frozen=True, kw_only=True)
class Tune:
    """Whether settings are searched for, which, and how."""

    jobs: int = setting(
        "Training jobs of the search; the best one's model is the model. 0 = no search (recipe 'auto': 12).",
        default=0, minimum=0, maximum=750,
    )  # fmt: skip
    parallel: int = setting(
        "Jobs at the same time. Fewer learn more from each other (bayesian); more are done sooner.",
        default=1, minimum=1, maximum=100,
    )  # fmt: skip
    strategy: str = setting(
        "'bayesian' learns from the jobs before; 'random' does not; 'grid' tries every combination of choices; "
        "'hyperband' starts many jobs and stops the weak ones early.",
        default="bayesian", choices=("bayesian", "random", "grid", "hyperband"),
    )  # fmt: skip
    early_stopping: bool = setting("Stop jobs that are unlikely to beat the best so far.", default=False)
    warm_start: bool = setting("Begin with what the project's last search learned.", default=False)
    max_minutes: int = setting(
        "Longest time of the whole search; the best job by then wins. 0 = no limit but each job's.",
        default=0, minimum=0, maximum=43_200,
    )  # fmt: skip
    ranges: dict[str, Any] = setting(
        "What is searched: a setting of [train] or options.NAME of the recipe = { min, max, scale } or { choices }. "
        "Empty: what the recipe suggests.",
        default_factory=dict,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """How the challenger is measured."""

    instance: str = setting(
        "Instance type of the evaluation job.", default="ml.m5.xlarge", pattern=INSTANCE, examples=PROCESSING
    )
    max_minutes: int = setting("Longest time the evaluation job may run.", default=30, minimum=1, maximum=1440)
    latency_requests: int = setting("Single-row predictions timed for the latency figures.", default=200, minimum=10)
    groups: tuple[str, ...] = setting(
        "Columns whose groups of held-out rows are measured each by themselves (tables only); the model need not see "
        "them.",
        default=(),
    )  # fmt: skip
    evidence_rows: int = setting(
        "Held-out rows with which is measured what the model looks at and what it withstands. 0 = neither.",
        default=500, minimum=0, maximum=100_000,
    )  # fmt: skip
    intended_use: str = setting("What the model is for, and what not: it stands in the model card.", default="")


@dataclass(frozen=True, kw_only=True)
class Gate:
    """When a challenger may take the champion's place."""

    min_improvement: float = setting(
        "How much better than the champion the metric must be; a tie keeps the champion.", default=0.0, minimum=0.0
    )
    required: float | None = setting("Value of the metric that is required in any case.", default=None)
    max_group_gap: float | None = setting(
        "Largest difference of the metric between two groups of evaluate.groups that may be released.",
        default=None, minimum=0.0,
    )  # fmt: skip
    approve: str = setting(
        "'auto' releases a better model at once; 'manual' waits for a person: `tandem approve`, or the same in the "
        "registry.",
        default="auto", choices=("auto", "manual"),
    )  # fmt: skip
    approve_hours: int = setting(
        "Hours that a version waits to be approved ('manual'); after that it is rejected.",
        default=72, minimum=1, maximum=720,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Optimise:
    """What may be done to the model to make it smaller and faster."""

    parity_tolerance: float = setting(
        "Largest difference allowed between an output of the trained model and of its served form.",
        default=1e-4, minimum=0.0, maximum=0.1,
    )  # fmt: skip
    forms: tuple[str, ...] = setting(
        "Forms that may be served; the fastest good one is. onnx-float32 is always measured, and served when none is "
        "good. onnx-int8-dynamic: a row's answer depends a little on the rows asked with it. onnx-float16: GPUs only.",
        default=(FLOAT32, INT8), minimum=1, choices=FORMS,
    )  # fmt: skip
    max_accuracy_drop: float = setting(
        "How much worse than the trained model a form may be by the project's metric: absolutely for scores "
        "(accuracy), as a share of the trained model's for errors (rmse, mase).",
        default=0.005, minimum=0.0, maximum=1.0,
    )  # fmt: skip
    prune: float = setting(
        "Share of each layer's channels or units that is removed, the least important ones, before a few epochs of "
        "training; 0 = none.",
        default=0.0, minimum=0.0, maximum=0.95,
    )  # fmt: skip
    prune_epochs: int = setting("Epochs that a pruned network is trained for.", default=5, minimum=0, maximum=1000)
    distil: float = setting(
        "Share of the channels or units that a student lacks, which learns from the trained model's answers for as "
        "many epochs as [train] has; 0 = no student.",
        default=0.0, minimum=0.0, maximum=0.95,
    )  # fmt: skip
    calibration_rows: int = setting(
        "Training rows on which the ranges of onnx-int8 are measured.", default=256, minimum=1, maximum=10_000
    )


@dataclass(frozen=True, kw_only=True)
class Deploy:
    """Where the model is served, and how a new version gets its traffic."""

    target: str = setting(
        "'serverless' and 'lambda' cost nothing when idle; 'realtime' keeps instances; 'async' keeps instances and a "
        "queue of requests, whose answers are fetched later; 'batch' answers files only, 'edge' "
        "makes a bundle for devices, and nothing waits for requests.",
        default="serverless", choices=("serverless", "realtime", "async", "lambda", "batch", "edge"),
    )  # fmt: skip
    memory_mb: int = setting(
        "Memory in MB: of a serverless endpoint in steps of 1024 up to 6144, of a Lambda function any.",
        default=2048,
        minimum=512,
        maximum=10240,
    )
    max_concurrency: int = setting(
        "Requests served at once (serverless; async: by each instance). While a deployment of a serverless endpoint "
        "checks its golden samples, staging takes one more of the account's quota.",
        default=5, minimum=1, maximum=200,
    )  # fmt: skip
    instance: str = setting(
        "Instance type (realtime, async).",
        default="ml.c5.large",
        pattern=INSTANCE,
        examples=tuple(load_prices().hosting),
    )
    instances: int = setting("Number of instances (realtime, async).", default=1, minimum=1, maximum=100)
    min_instances: int = setting(
        "Fewest instances that scaling leaves (realtime, async). 0 = none while nobody asks (async only).",
        default=1, minimum=0, maximum=100,
    )  # fmt: skip
    max_instances: int = setting(
        "Most instances that scaling brings (realtime, async). 0 = no scaling: there are always deploy.instances.",
        default=0, minimum=0, maximum=100,
    )  # fmt: skip
    invocations_per_instance: int = setting(
        "Scaling: requests a minute that each instance is to have (realtime). 0 = not by these.",
        default=0, minimum=0, maximum=1_000_000,
    )  # fmt: skip
    concurrency_per_instance: float = setting(
        "Scaling: requests at the same time that each instance is to have (realtime); scales out sooner than by "
        "requests a minute. 0 = not by these.",
        default=0.0, minimum=0.0, maximum=10_000.0,
    )  # fmt: skip
    backlog_per_instance: float = setting(
        "Scaling: waiting requests that each instance is to have (async). 0 = not by these.",
        default=0.0, minimum=0.0, maximum=1_000_000.0,
    )  # fmt: skip
    sleep: str = setting(
        "Hours of every day in which the endpoint is gone and costs nothing (realtime), such as 20:00-07:00; or after "
        "how many hours without a request it goes until somebody wakes it, such as 'idle 6h'. Empty = neither.",
        default="",
    )  # fmt: skip
    sleep_timezone: str = setting("Whose clock the hours are of: a name such as Europe/Rome.", default="UTC")
    batch_instance: str = setting(
        "Instance type of transform jobs: what answers files, whatever the target, and the golden samples of targets "
        "'batch' and 'edge'.",
        default=batch.INSTANCE, pattern=INSTANCE, examples=tuple(load_prices().transform),
    )  # fmt: skip
    golden_samples: int = setting(
        "Held-out rows that must predict as evaluated before any traffic.", default=8, minimum=1, maximum=100
    )
    golden_tolerance: float = setting(
        "Largest difference allowed between a golden sample's answer and its evaluated output.",
        default=1e-3, minimum=0.0, maximum=0.1,
    )  # fmt: skip
    rollout: str = setting(
        "How traffic moves to a new version: 'all' at once; 'canary': a small share first, then the rest; 'linear': "
        "in equal steps.",
        default="all", choices=("all", "canary", "linear"),
    )  # fmt: skip
    step_percent: int = setting(
        "Share of traffic of a canary, or of each linear step, in percent.", default=10, minimum=5, maximum=50
    )
    bake_minutes: int = setting(
        "Minutes that the alarms are watched after each step, and before the old version's machines go.",
        default=5, minimum=0, maximum=60,
    )  # fmt: skip
    max_error_percent: float = setting(
        "Alarm: share of requests answered 5xx within a minute, in percent; more of them take a new version back.",
        default=1.0, minimum=0.0, maximum=100.0,
    )  # fmt: skip
    max_latency_ms: int = setting(
        "Alarm: the model's 99th percentile of latency within a minute, in ms; a slower version is taken back. "
        "0 = none.",
        default=0, minimum=0, maximum=60_000,
    )  # fmt: skip
    shadow_percent: int = setting(
        "Share of requests, in percent, that a new version gets a copy of before any traffic; nobody sees its answers, "
        "but its alarms must stay quiet. 0 = none.",
        default=0, minimum=0, maximum=100,
    )  # fmt: skip
    shadow_minutes: int = setting("How long a new version stays in the shadow.", default=15, minimum=1, maximum=240)
    ab_percent: int = setting(
        "Share of requests, in percent, that a new version keeps beside the champion until `tandem promote` or "
        "`tandem rollback` decides (an A/B test). 0 = none.",
        default=0, minimum=0, maximum=99,
    )  # fmt: skip
    capture_percent: int = setting(
        "Share of requests and answers, in percent, that is kept in the artifacts bucket. 0 = none.",
        default=0, minimum=0, maximum=100,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """What happens to personal data before anything learns from it (tables only)."""

    drop: tuple[str, ...] = setting("Columns removed at once.", default=())
    hash: tuple[str, ...] = setting("Columns replaced by a keyed hash with the tenant's salt.", default=())
    generalise: dict[str, float] = setting(
        "Number columns rounded down to a multiple: age = 10 keeps the decade.",
        default_factory=dict,
        minimum=1e-9,
    )


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a run may cost."""

    max_usd_per_run: float = setting(
        "A run whose worst case (price x longest time x attempts) exceeds this is refused.", default=10.0, minimum=0.0
    )


SECTIONS: dict[str, type] = {
    "prepare": Prepare,
    "train": Train,
    "tune": Tune,
    "evaluate": Evaluate,
    "gate": Gate,
    "optimise": Optimise,
    "deploy": Deploy,
    "privacy": Privacy,
    "budget": Budget,
}
