"""The bundle: what is inside an artifact, and how it is read, verified and served without unpacking."""
