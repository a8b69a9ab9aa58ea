"""CloudFormation: the templates of ``cdk deploy``, applied to the laptop cloud.

moto has an engine of its own, but it applies only some properties of some types,
says CREATE_COMPLETE for types it skips and has no rollback. This one resolves a
template and makes every resource through the same public API that a person would
use, so that a property is applied, or refused by name.

    template    text -> template, and the order of its resources
    functions   Ref, Fn::GetAtt, Fn::Sub and the others
    parameters  what was given, defaults, values from SSM
    model       stacks, change sets, events: what the API describes
    engine      create, update, delete, roll back
    service     the operations, as CloudFormation names them
    api         requests
    describe    answers
    resources/  one file a service, found by its name
"""
