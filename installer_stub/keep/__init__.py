"""What a host must stay: a document on the host, and the code that makes it so at every boot and every minute."""
