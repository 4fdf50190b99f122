"""Base models, the quantizer, the selector, and the model of all three."""
