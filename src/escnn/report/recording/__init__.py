"""The page of a recording of any length: its events in time, to see, hear, filter and take along."""
