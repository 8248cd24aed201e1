"""What the stub does on a host itself: fetch cluster files, make keys, serve images. Hosts have no Python and no curl."""
