"""Cluster images: ordinary OCI images whose /cluster holds what hosts need, in a store of our own, beside docker's."""
