"""From a frozen model to bytes and back."""
