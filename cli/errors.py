"""Exit codes, and errors as people read them.

TandemError
└── CommandError        a mistake or a missing thing, with the exit code it ends in
    ├── BadArgument     an argument that cannot be meant (2)
    ├── NotDeployed     nothing there to talk to (4)
    ├── NotFound        no such run, project or version (5)
    └── Unwatched       a person stopped following what goes on (130)
"""

from __future__ import annotations

import json
from enum import IntEnum

from contract.errors import InvalidConfig, InvalidUpload, TandemError
from contract.run import Outcome


class Exit(IntEnum):
    """What the exit code of ``tandem`` means."""

    GOOD = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4
    NOT_FOUND = 5
    BUG = 70
    INTERRUPTED = 130

    @classmethod
    def of(cls, outcome: str) -> Exit:
        """Return the exit code of a run's outcome."""
        return {
            Outcome.DEPLOYED: cls.GOOD,
            Outcome.REGISTERED: cls.GOOD,
            Outcome.KEPT_CHAMPION: cls.GOOD,
            Outcome.REJECTED: cls.REFUSED,
            Outcome.REFUSED: cls.REFUSED,
            Outcome.FAILED: cls.FAILED,
            Outcome.STOPPED: cls.FAILED,
        }[Outcome(outcome)]


MEANINGS = {
    Exit.GOOD: "done; a run ended as DEPLOYED, REGISTERED or KEPT_CHAMPION",
    Exit.FAILED: "a run ended as FAILED or STOPPED, or doctor found something missing",
    Exit.USAGE: "an option or argument cannot be meant",
    Exit.REFUSED: "a run ended as REJECTED or REFUSED; a file, request or project.toml was refused",
    Exit.UNREACHABLE: "no endpoint, credentials or permission, or Tandem is not deployed there",
    Exit.NOT_FOUND: "no such run, project, version or state",
    Exit.BUG: "a bug in Tandem; the traceback is printed",
    Exit.INTERRUPTED: "interrupted",
}


class CommandError(TandemError):
    """What went wrong and, on lines of its own, how to fix it."""

    code = Exit.FAILED

    def __init__(self, message: str, fix: str = "") -> None:
        self.message, self.fix = message, fix
        super().__init__(f"{message}\n{fix}" if fix else message)


class BadArgument(CommandError):
    """An argument that cannot be meant."""

    code = Exit.USAGE


class NotDeployed(CommandError):
    """Nothing there to talk to."""

    code = Exit.UNREACHABLE


class NotFound(CommandError):
    """No such run, project or version."""

    code = Exit.NOT_FOUND


class ModelRefused(CommandError):
    """A request that the model does not answer.

    Args:
        answer: what its server said instead.
    """

    code = Exit.REFUSED

    def __init__(self, answer: str) -> None:
        super().__init__(f"The model refused {model_reason(answer)}")


class Unwatched(CommandError):
    """A person stopped following what goes on."""

    code = Exit.INTERRUPTED


def model_reason(answer: str) -> str:
    """Return a model's server's error in words: ``instances[0].sex: ...``; another's as it came."""
    try:
        error = json.loads(answer)["error"]
        return f"{error.get('path') or 'the request'}: {error['message']}"
    except (ValueError, LookupError, TypeError, AttributeError):
        return f"the request: {answer}"


def explain(error: Exception) -> CommandError | None:
    """Return ``error`` as a person should read it; None when it is a mistake of ours."""
    if isinstance(error, CommandError):
        return error
    if isinstance(error, (InvalidConfig, InvalidUpload)):
        refused = CommandError(str(error))
        refused.code = Exit.REFUSED
        return refused
    if isinstance(error, TandemError):
        return CommandError(str(error))
    if type(error).__module__.startswith("botocore"):
        return _explain_aws(error)
    return None


LAPTOP = "Start the laptop cloud with `tandem up` and run the lines it prints, or choose an account with --profile."


def _explain_aws(error: Exception) -> CommandError | None:
    from botocore import exceptions as aws

    if isinstance(error, aws.ClientError):
        return _explain_client_error(error)
    if isinstance(error, (aws.NoCredentialsError, aws.PartialCredentialsError, aws.TokenRetrievalError)):
        return NotDeployed(f"There are no AWS credentials: {error}.", LAPTOP)
    if isinstance(error, aws.ProfileNotFound):
        return BadArgument(f"--profile: {error}.", "`aws configure list-profiles` lists what there is.")
    if isinstance(error, aws.NoRegionError):
        return BadArgument("No region is chosen.", f"Give --region, or set AWS_REGION. {LAPTOP}")
    if isinstance(error, aws.InvalidRegionError):
        return BadArgument(f"--region: {error}", "A region looks like us-east-1.")
    if isinstance(error, (aws.HTTPClientError, aws.ConnectionError)):
        return NotDeployed(f"The endpoint does not answer: {error}", LAPTOP)
    return None


_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "ExpiredToken", "ExpiredTokenException",
           "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"}  # fmt: skip


def _explain_client_error(error: Exception) -> CommandError:
    from botocore.exceptions import ClientError

    assert isinstance(error, ClientError)
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    text = f"{error.operation_name}: {code}: {message}"
    if code in _DENIED:
        return NotDeployed(
            f"The account does not allow it. {text}", "Check --profile and what its role may do; `tandem doctor` helps."
        )
    return CommandError(f"AWS refused. {text}")
