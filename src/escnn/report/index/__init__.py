"""The page that compares several sounds."""
