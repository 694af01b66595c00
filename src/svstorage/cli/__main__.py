"""``python -m svstorage.cli``: the command without its console script."""

from svstorage.cli import main

main()
