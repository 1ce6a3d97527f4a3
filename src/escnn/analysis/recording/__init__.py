"""What is shown of a recording of any length: its events, a long-term spectrogram, and excerpts to hear."""
