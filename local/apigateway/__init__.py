"""API Gateway's data plane for REST APIs: a deployed API answers, by its Lambda functions.

moto keeps what an API is made of, and answers no request to it. Here a request goes the way it goes on AWS:

    address    where an API's stage is found on this machine
    release    what a deployment froze: paths, methods, integrations
    usage      API keys, usage plans, throttles, quotas
    refusals   what API Gateway itself answers
    proxy      a request as a function's event (version 1.0), and its answer as HTTP
    gateway    one request, from its address to its answer
"""
