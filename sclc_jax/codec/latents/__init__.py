"""From latents to symbols, and back."""
