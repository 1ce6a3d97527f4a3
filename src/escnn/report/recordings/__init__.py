"""The page of many recordings: by time, by class, by the calendar."""
