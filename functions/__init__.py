"""Lambda handlers, one file each: parse, one call, return.

    intake      an upload's event -> exactly one execution of the pipeline
    accept      Accept request:  the execution's input -> a full RunRequest, the upload pinned
    plan        Plan compute:    machines, price, worst case; refuses what the budget cannot pay
    register    Register model:  a model package with its card and lineage
    ask         Approve:         people are told of a version;  decide  what they said wakes the run
    approval    the page behind a notification's link, which says so for them
    deployment  Plan deployment: what the deployment machine makes, and under which names
    golden      Check golden samples: asks a staging endpoint what was evaluated
    lambda_versions  Make function version: the function that serves a project, and a version of it
    lambda_traffic   Shift traffic:         the weights of its alias
    tidy        Tidy up:         what a project no longer needs goes
    predict     POST /{tenant}/{project}/predict of the public API;  describe  its schema, OpenAPI document and page
    prediction  GET /{tenant}/{project}/predictions/{id}: what an asynchronous endpoint answered in the meantime
    settle      Settle run:      cost, report, ledger, metrics, event; also for runs that failed
    resume      `tandem resume`, and redrives by hand: covers what is left of a run, and lets it go on

They import contract, boto3 and Powertools only. What several share is in
shared (logger, settings, clients), table (the ledger), documents (S3), runs
(a run's row), searches (tuning jobs), rollout (what an endpoint's deployment
is made of), approvals (what the registry says), api (whose key it is, errors
of one shape, metering), waiting (requests in a queue) and pages.
"""
