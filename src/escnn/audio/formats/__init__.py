"""What files look like inside, where libsndfile alone would stop too early, go wrong, or not begin."""
