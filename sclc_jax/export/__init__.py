"""From a checkpoint to a frozen model."""
