"""Events in time: what sounded, from when to when, in recordings of any length."""
