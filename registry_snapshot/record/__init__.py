"""Build side only: fetch from upstream registries, complete closures, write down who asked for what."""
