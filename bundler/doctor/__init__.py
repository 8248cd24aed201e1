"""What a machine needs to build, looked at in a second and before anything is downloaded."""
