"""Between pixels and latents: analysis and synthesis, whole or in tiles."""
