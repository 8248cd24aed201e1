"""The cache: what is in it, which builds hold it, and what may go."""
