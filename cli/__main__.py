"""``python -m cli`` is ``tandem``."""

from cli.main import main

main()
