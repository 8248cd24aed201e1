"""Cluster images on their way to registries and back, with the recording and the images that make a file of them."""
