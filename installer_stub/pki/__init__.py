"""The site registry's certificates: its own authority, what a master shows, and how both stay valid."""
