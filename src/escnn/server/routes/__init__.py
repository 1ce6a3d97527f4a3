"""What can be asked for: a thin file a group of addresses, over public functions."""
