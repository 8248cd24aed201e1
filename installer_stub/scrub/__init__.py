"""Whether the artifacts on a master's disk are still the bytes that were copied there (docs/adr/0026)."""
