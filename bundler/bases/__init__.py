"""Base cluster images: recipes with pinned URLs and SHA-256 sums."""
