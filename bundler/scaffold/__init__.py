"""A first Kubefile for what somebody has already: manifests, kustomizations, charts."""
