"""Data, loss and the training loop."""
