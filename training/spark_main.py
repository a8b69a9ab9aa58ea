"""What Spark is given to run: preparation, its parts on the cluster's executors (``training.launch spark``)."""

from training.spark import main

if __name__ == "__main__":
    main()
