"""What can be changed on a host: each kind of thing, how it looks now, how it is made, and how it is put back."""
