"""SageMaker's machines as real processes.

api          answers an operation of moto's server with a handler of ours
errors       what SageMaker refuses, and what the laptop cloud does not do
shapes       checks a request against AWS's own service model
rules        fields that exclude or need each other
records      jobs, models, endpoints as Describe shows them;  listing: as List does;  tags: as tagged
containers   what an image URI means on a laptop (local/images.py builds our own)
namespace    a private root where /opt/ml is the host's and algo-N resolve
warden       the program that runs the containers of one job and outlives none of them
machines     the cloud's side of the warden: start, signal, output, exits
processes    a container's processes, seen from outside
opt_ml       the files SageMaker writes below /opt/ml
objects      channels, outputs and checkpoints to and from S3
telemetry    log streams, metrics by regular expression
jobs         what training and processing jobs share
training     one training job;  training_api: the operations on them
tuning       one tuning job;  tuning_api: the operations on them;  tuning_record: as Describe shows them
tuning_search  what to try next, and whom to stop;  tuning_space: ranges of hyperparameters
tuning_request  what was asked for;  tuning_rules: what is refused;  tuning_warm: warm starts
tuning_training  one training job of a tuning job
processing   one processing job;  processing_api: the operations on them
transform    one transform job;  transform_api: the operations on them;  transform_records: what one request has
models       models and endpoint configurations
servers      one server of a model;  model_images: what it is made of;  fleets: the servers of an endpoint
endpoints    create, update with no failed request, roll back, delete;  endpoint_view: as Describe shows them
endpoint_changes  what of an endpoint may be changed, and what an update takes over
traffic      which servers a request goes to
rollouts     canary and linear updates, alarms, rollback;  rollout_policy: DeploymentConfig and its rules
runtime      InvokeEndpoint;  meters: its metrics
shadows      copies of requests;  capture: requests and answers kept in S3
registry     model package groups and their versions
"""
