"""The CDK app: what Tandem is on AWS.

    pipeline.py    the story of a run, one line a state      steps/    what each state does
    deployment.py  the story of a deployment                 stacks/   four stacks that only compose
    app.py         builds the stacks                         apply.py  deploys them through the CloudFormation API

Everything else is one construct a file. Synthesis calls no AWS API and reads no
environment variable.
"""
