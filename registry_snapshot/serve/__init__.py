"""The pull half of the OCI distribution protocol, as a function from Request to Response."""
