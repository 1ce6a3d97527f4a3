"""Labelled sounds: ESC-50 and its download, folder data sets, folds, cached features."""
