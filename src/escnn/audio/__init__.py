"""Sound in, arrays out: decoding, windows, the settings of the log-mel, what a user names as input."""
