"""Arrays to pictures: maps with a pixel a value, and figures with axes."""
