"""The data that crosses rooms, defined once.

Standard library only: a Lambda handler, a training container, a CDK stack and
the command line all import this package, so it may depend on none of them.

    errors    the exception tree
    parsing   plain data -> frozen dataclasses, with errors a person can act on
    config    the sections of project.toml
    recipes   what is known of each recipe without importing it (recipes.json)
    request   RunRequest: everything one run was asked to do
    reports   DatasetReport, EvaluationReport: what the pipeline decides on
    gate      the release decision
    deploying, optimising  which settings cannot be meant together
    forms     the forms in which a model can be served
    manifest  ModelManifest: what is inside model.tar.gz
    archives  model.tar.gz, unpacked without trusting it
    batch     files that the version in service answers as a whole
    histories where an execution stopped, as its history tells
    bundle    a model with its server, for places outside of AWS
    packages  what a registered version says of itself
    values    how text becomes a value
    dialect   how a CSV file is written
    images    which image files are read
    lambda_calls  what a model that is a Lambda function is asked and answers
    golden    rows that a deployed model must answer as evaluated
    keys      where things are in S3
    ledger    where things are in DynamoDB
    names     environment variables, jobs, endpoints, events, metrics, tags
    prices    what an hour of an instance type costs
"""
