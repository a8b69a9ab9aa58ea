"""The command line as a whole: help, exit codes, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.errors import CommandError, Exit, explain
from cli.main import COMMANDS
from contract.run import Outcome
from tests.cli.conftest import Answer

NAMES = [command.__name__ for commands in COMMANDS.values() for command in commands]
Tandem = Callable[..., Answer]


def test_every_promised_command_is_there() -> None:
    promised = {"audit", "up", "deploy", "new", "submit", "runs", "watch", "logs", "report", "predict", "models",
                "promote", "rollback", "approve", "reject", "reproduce", "key", "export", "edge", "sleep", "wake",
                "batch", "chaos", "doctor", "destroy", "forget", "demo", "cost", "budget", "resume", "tenant",
                "replay", "prices", "restore"}  # fmt: skip
    assert set(NAMES) == promised


@pytest.mark.parametrize("name", NAMES)
def test_help_says_what_a_command_does_and_which_options_it_takes(tandem: Tandem, name: str) -> None:
    answer = tandem(name, "--help")
    assert answer.code == Exit.GOOD
    for option in ("--json", "--profile", "--region", "--endpoint-url"):
        assert option in answer.stdout


def test_common_options_may_stand_before_or_after_the_command(tandem: Tandem) -> None:
    before = tandem("--json", "--region", "us-east-1", "runs")
    after = tandem("runs", "--json", "--region", "us-east-1")
    assert before.document == after.document


def test_an_unknown_option_is_wrong_usage(tandem: Tandem) -> None:
    answer = tandem("runs", "--limits", "3")
    assert answer.code == Exit.USAGE
    assert "--limits" in answer.stderr


def test_no_credentials_is_unreachable_and_says_what_to_do(tandem: Tandem) -> None:
    answer = tandem("runs", "--region", "us-east-1")
    assert answer.code == Exit.UNREACHABLE
    assert answer.stdout == ""
    assert "credentials" in answer.stderr
    assert "tandem up" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_newcomer_is_led_to_the_laptop_cloud(tandem: Tandem) -> None:
    answer = tandem("runs")
    assert answer.code == Exit.USAGE
    assert "tandem up" in answer.stderr


def test_a_path_that_leads_nowhere_is_told_before_the_account_is_asked(tandem: Tandem) -> None:
    answer = tandem("submit", "nothing.csv", "--project", "acme/digits")
    assert answer.code == Exit.USAGE
    assert "nothing.csv" in answer.stderr


def test_no_endpoint_is_unreachable(tandem: Tandem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    answer = tandem("runs", "--region", "us-east-1", "--endpoint-url", "http://localhost:1")
    assert answer.code == Exit.UNREACHABLE
    assert "localhost:1" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("runs", "--profile", "nobody", "--region", "us-east-1"), "nobody"),
        (("runs",), "region"),
        (("runs", "--endpoint-url", "here", "--region", "us-east-1"), "here"),
        (("runs", "digits", "--region", "us-east-1"), "'digits'"),
        (("models", "a/b/c", "--region", "us-east-1"), "'a/b/c'"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_named(
    tandem: Tandem, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], named: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    answer = tandem(*arguments)
    assert answer.code == Exit.USAGE, answer.stderr
    assert named in answer.stderr
    assert "Traceback" not in answer.stderr


def test_an_error_is_one_json_document_too(tandem: Tandem) -> None:
    answer = tandem("predict", "acme/Digits", "x.png", "--json", "--region", "us-east-1")
    assert answer.code == Exit.REFUSED
    assert answer.document["error"]["exit_code"] == Exit.REFUSED
    assert "Digits" in answer.document["error"]["message"]


def test_a_bug_of_ours_is_no_error_of_the_user() -> None:
    assert explain(KeyError("x")) is None
    told = explain(CommandError("Broken.", "Mend it."))
    assert told is not None
    assert str(told) == "Broken.\nMend it."


def test_every_outcome_has_an_exit_code() -> None:
    assert {outcome.value: int(Exit.of(outcome)) for outcome in Outcome} == {
        "DEPLOYED": 0, "REGISTERED": 0, "KEPT_CHAMPION": 0, "REJECTED": 3, "REFUSED": 3, "FAILED": 1, "STOPPED": 1,
    }  # fmt: skip


def test_new_refuses_to_overwrite(tandem: Tandem, tmp_path: Path) -> None:
    first = tandem("new", "acme/digits", "--recipe", "image", "--dir", tmp_path)
    second = tandem("new", "acme/digits", "--recipe", "image", "--dir", tmp_path)
    assert (first.code, second.code) == (Exit.GOOD, Exit.USAGE)
    assert "exists" in second.stderr


def test_new_names_the_nearest_recipe(tandem: Tandem, tmp_path: Path) -> None:
    answer = tandem("new", "acme/digits", "--recipe", "images", "--dir", tmp_path)
    assert answer.code == Exit.USAGE
    assert "Did you mean 'image'?" in answer.stderr
