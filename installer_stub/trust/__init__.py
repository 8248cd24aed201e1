"""Who signed an artifact, and whether a site's operator named them: OpenSSH's signatures and its files of allowed signers."""
