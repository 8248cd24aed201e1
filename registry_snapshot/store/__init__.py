"""Content-addressed storage: blobs by digest, and the names that point at them."""
