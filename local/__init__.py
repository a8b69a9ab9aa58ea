"""The laptop cloud: the templates, state machines, handlers and container contract of AWS, on one machine.

moto's server answers the AWS APIs; ``gaps/`` closes what it lacks, one file a
gap; SageMaker's machines, Lambda's sandboxes and CodeBuild's images are real
processes. Nothing in production imports this package.

    python -m local --port 4566 --root .tandem
"""
