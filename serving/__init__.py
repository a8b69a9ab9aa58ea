"""The inference server: one program wherever a model is served.

    python -m serving serve

reads the model that SageMaker unpacked into ``/opt/ml/model`` and answers
``/ping`` and ``/invocations``. From the wire to the model and back:

    __main__      start, load, drain
    settings      what the container's environment says
    archive       is this folder the archive that was evaluated?
    model         ONNX Runtime session, checked against the manifest
    server, connection, http    HTTP/1.1
    app           the routes
    batching, calls             who is answered together, and where
    inputs        which formats this model reads
    json_body, csv_body, npy_body     bytes to plain values
    {image,series,table,text}_inputs  plain values to the model's arrays
    responses     probabilities to JSON or CSV
    describe      GET /: what may be sent
    v2            KServe's protocol
    metrics       Prometheus' text, CloudWatch's embedded metrics
    capture       a sample of requests and answers, kept
    errors, logs

As a Lambda function the same image runs ``lambda_handler`` (``fetch`` gets the model, ``lambda_call`` answers).
"""
