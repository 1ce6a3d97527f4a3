"""The commands, a file each: parse, call, show."""
