"""Facts: what is true on a host. Reads only; one command and one pure parser each."""
