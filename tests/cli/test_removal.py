"""What `tandem destroy` finds of an installation that is at work."""

from __future__ import annotations

import pytest

from cli import removal
from cli.aws import Account
from contract import names
from local.cloud import Cloud
from tests.local import sagemaker as sm
from tests.local import tuning as tn


def test_a_search_that_goes_on_is_stopped(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    account, sagemaker = Account(), cloud.client("sagemaker")
    account.__dict__["outputs"] = {}  # no machines: what runs on when they are gone
    definition = tn.definition(tn.push_image(cloud), sm.bucket(cloud), tn.SLOW)
    request = tn.tuning(definition, jobs=1, parallel=1)
    sagemaker.create_hyper_parameter_tuning_job(**request, Tags=names.tags("acme", "digits", "r"))
    search = request["HyperParameterTuningJobName"]
    tn.wait_for_output(cloud, search, jobs=1)
    found = [item for item in removal.find_running(account) if item.name == search]
    assert [item.kind for item in found] == ["search"]
    removal.remove(account, found, say=lambda line: None)
    assert tn.tuned(cloud, search)["HyperParameterTuningJobStatus"] == "Stopped"
    removal.remove(account, found, say=lambda line: None)  # it has ended meanwhile
