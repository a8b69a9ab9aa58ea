"""Lambda's execution environments: each function in processes of its own, behind the real runtime client.

    config       what a function version is made of
    archive      the code zip, unpacked once
    container    the same of a function from an image
    child        the first program of a sandbox: dies with the cloud, then runs ``awslambdaric``
    runtime_api  the HTTP API that the runtime client polls
    sandbox      one process: start, invoke, time-out, memory limit, kill
    output       a sandbox's output, as log events and metrics
    pool         the warm sandboxes of one function version
    service      synchronous and asynchronous invocation of anything deployed
    meters       what CloudWatch counts of invocations
    queue        retries, dead letters and destinations of asynchronous invocations

Layers of other accounts (AWS's Powertools) are provided by the laptop's own
Python environment: every sandbox sees its site-packages behind the function's
code and the layers of this account. A sandbox's ``/tmp`` is its
``TMPDIR``; code that spells ``/tmp`` shares the machine's.
"""
