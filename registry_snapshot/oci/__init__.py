"""Values of the OCI specifications: parsed once, immutable, compared by content."""
