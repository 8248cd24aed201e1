"""What only we run: the portable Python, freezing the installer, and the wheels that users get it by. See release/README.md."""
