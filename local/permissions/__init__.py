"""Who may do what: the laptop cloud asks the policies of the role that calls, and refuses as AWS does.

conditions   the operators of a statement's Condition
policy       statements, and what they say of a request
requests     reads which operation an HTTP request asks for
needs        which actions on which resources an operation needs
storage      the same of S3, whose objects, keys and buckets have policies too
guard        asks the role's policies, and those of buckets and keys; notes every call (local/calls.py)

Calls without a role's credentials are a person's, who may do everything; so may a role that IAM does not have, which
small experiments name without making it.
"""
