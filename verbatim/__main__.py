"""`python -m verbatim` is the `verbatim` command."""

from verbatim.cli import main

main(prog_name="python -m verbatim")
