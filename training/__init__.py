"""What runs in SageMaker's training and processing containers, and in the preparation Lambda.

    launch      the container's entry: checks the wheels, starts the program, reports its failure
    prepare     an upload becomes a dataset (no torch: it also runs in Lambda)
    train       a dataset becomes trained weights
    evaluate    trained weights become the archive that is served, and a verdict
    recipes/    what to learn and how; one file each

``training`` imports ``contract`` and nothing else of Tandem.
"""
