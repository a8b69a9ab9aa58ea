"""SageMaker's machines as real processes.

api          answers an operation of moto's server with a handler of ours
shapes       checks a request against AWS's own service model
records      jobs and endpoints as Describe and List show them
listing      List operations: filters, order, pages
images       what an image URI means on a laptop (local/images.py builds our own)
namespace    a private root where /opt/ml is the host's and algo-N resolve
warden       the program that runs the containers of one job and outlives none of them
machines     the cloud's side of the warden: start, signal, output, exits
opt_ml       the files SageMaker writes below /opt/ml
objects      channels and outputs to and from S3
telemetry    log streams, metrics by regular expression
faults       the fault lab: missing capacity, spot interruption, a killed rank
training     training jobs
processing   processing jobs
servers      one server of a model;  fleets: the servers of an endpoint
endpoints    create, update with no failed request, roll back, delete
runtime      InvokeEndpoint
"""
