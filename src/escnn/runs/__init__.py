"""Trainings on disk: their settings, run folders and metrics."""
