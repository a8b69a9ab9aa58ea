"""Script mode of AWS's TensorFlow images: the toolkit's own module tells the hosts of each other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.cloud import Cloud
from tests.local import sagemaker as sm
from tests.local import scripts
from tests.local.test_script_mode import model

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.21.0-cpu-py312-ubuntu22.04-sagemaker"
SCRIPT = """
import json, os, tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
total = strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("sum", tf.ones(())))
told = {"sum": float(total), "module": os.environ["SM_FRAMEWORK_MODULE"], **json.loads(os.environ["TF_CONFIG"])}
with open(os.path.join(os.environ["SM_MODEL_DIR"], os.environ["SM_CURRENT_HOST"]), "w") as file:
    json.dump(told, file)
"""
pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("isolated", [True, False])
def test_workers_meet_by_the_variable_that_awss_toolkit_sets(cloud: Cloud, isolated: bool) -> None:
    request = scripts.job(
        cloud, sm.bucket(cloud), {"train.py": SCRIPT}, hosts=2, EnableNetworkIsolation=isolated,
        hyperparameters={"sagemaker_multi_worker_mirrored_strategy_enabled": True, "model_dir": "/opt/ml/model"},
    )  # fmt: skip
    request["AlgorithmSpecification"]["TrainingImage"] = IMAGE
    cloud.client("sagemaker").create_training_job(**request)
    files = model(cloud, sm.trained(cloud, request["TrainingJobName"], seconds=200))
    told = {Path(name).name: json.loads(text) for name, text in files.items()}
    assert told.keys() == {"algo-1", "algo-2"}
    for index, host in enumerate(sorted(told)):
        assert told[host]["sum"] == 2.0
        assert told[host]["task"] == {"index": index, "type": "worker"}
        workers = told[host]["cluster"]["worker"]
        assert len(workers) == len({address.rpartition(":")[2] for address in workers}) == 2  # one machine's ports
