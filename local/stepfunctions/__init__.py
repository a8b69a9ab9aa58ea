"""The laptop cloud's Step Functions interpreter: JSONata Standard workflows, as AWS runs them.

moto's own interpreter (5.2.5) splices values into expressions as text, parses a
definition for 0.1 s per 20 states, cannot be interrupted in a wait and runs no
SageMaker job, so ``gaps/stepfunctions_interpreter.py`` puts this one behind
moto's API. A definition is read as plain JSON and walked:

    definition   what AWS refuses when a machine is created (the lint)
    backend      moto's backend: machines, executions, task tokens
    execution    one execution: its thread, status, stop, redrive
    flow         the states one after another
    visit        one entering of a state: expressions, Assign, Output, Retry, Catch
    states       what each type of state does
    branches     Parallel and Map
    retry        Retry and Catch
    jsonata      expressions and templates
    scope        waits that can be interrupted: stop, time-out, a failed branch
    history      GetExecutionHistory; execution_log, the same in CloudWatch Logs
    imports      executions of another account, to be redriven here
    tasks/       one file an integration: Lambda, SageMaker, CodeBuild, ...

Not emulated, and refused when the machine is created: JSONPath, Express
workflows, distributed Map, activities, HTTP tasks, cross-account credentials.
"""
