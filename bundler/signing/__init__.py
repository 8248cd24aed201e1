"""Signing what a build made: with a key in a file, or with one that an ssh-agent holds and nobody sees."""
