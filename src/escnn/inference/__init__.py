"""Naming sounds: the classifier, its predictions, and going on with a file of them."""
