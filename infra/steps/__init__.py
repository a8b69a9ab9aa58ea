"""What each state does, one file a state or a small group. The order is in ``infra/pipeline.py``."""
