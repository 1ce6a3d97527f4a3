"""What `escnn detect` leaves beside its events."""
