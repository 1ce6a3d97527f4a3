"""Processes that decode what comes from strangers, and that analyze, apart from the server's own."""
