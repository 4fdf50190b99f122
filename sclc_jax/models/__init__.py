"""Base models, the quantizer, the selector and their union."""
