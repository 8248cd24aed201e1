"""The official conformance suite of the OCI distribution specification, run against both skins of our registry."""
