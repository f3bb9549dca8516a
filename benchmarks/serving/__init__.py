"""What serving costs: one choice, a batch of them, and the server under a load."""
