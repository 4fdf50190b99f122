"""Layers, transforms and differentiable likelihoods (pure)."""
