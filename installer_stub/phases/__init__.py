"""Phases: the steps of an installation, one file each; ``pipeline`` is the table of contents."""
