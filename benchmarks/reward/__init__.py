"""The reward model and its rivals on the same rows: a real archive, and a shop whose truth is known."""
