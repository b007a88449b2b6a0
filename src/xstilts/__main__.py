"""`python -m xstilts` is the command `xstilts`."""

from xstilts.cli import main

main()
