"""The site: what is wanted of it, what is installed there, and how a command line changes it (docs/adr/0016)."""
