"""From samples to the audio features of every frame."""
