"""Damaged files for every reader of escnn: seeds, mutations, and a child process that must outlive all of them.

`python -m fuzz` (`make fuzz`) tries many and prints what came of them; `tests/test_fuzz.py` tries a few every time.
"""
