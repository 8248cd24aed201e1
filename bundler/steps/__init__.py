"""Results of a build's steps, kept under the digest of what went into them: a build goes on from what is there."""
