"""What was changed on this host, with before and after, and how all of it is undone. Runs in the stub on the host."""
