"""Coverage: what was recorded, what was scanned and what was listed, each image with the reasons for it."""
