"""CEL, the part of it that people write about an object of the API: read and checked whole before anything runs, then bounded.

What is outside of that part is refused by its name when an expression is read; nothing is ever guessed at (docs/adr/0020).
"""
