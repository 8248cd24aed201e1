"""Pushing images to a registry: only what it does not have yet travels, and nothing is told to be there that is not."""
