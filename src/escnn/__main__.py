"""`python -m escnn`."""

from escnn.cli.app import main

main()
