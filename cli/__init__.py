"""The ``tandem`` command: submits data, follows runs, serves predictions, on AWS or on a laptop.

It speaks only boto3: whichever endpoint, profile and region it is given, it finds
the buckets, the ledger and the state machines in the outputs of the stacks there.

    main        composes the commands
    commands/   one file a command
    options     the options that every command takes
    errors      exit codes, and errors as people read them
    aws         the session, and what is deployed in the account
    ledger      runs and champions, as the ledger has them
    upload      checks a file before it is uploaded
    follow      a run's progress, computed from its history (pure)
    watch       fetches what follow needs while a run goes on;  progress_view  draws it
    ending      how a run ended: its document, its exit code
    api_keys    API keys of the public API
    release     starts a deployment of one version, and follows it
    reproduction  trains a version again, and compares
    replaying   brings an execution that failed elsewhere to the laptop cloud (and asks that itself to take it)
    exports     a version's files for places outside of AWS
    removal     finds and removes everything of an installation
    render      how things look in a terminal, and as JSON
    template    a commented project.toml;  reference  the commands' own page
    children    child programs that end with this one;  laptop  the laptop cloud as one
    checks      what `doctor` looks at
"""
