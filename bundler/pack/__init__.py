"""Packing: from snapshot and cluster files to one executable file."""
