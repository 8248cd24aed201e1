"""``python -m installer_stub``, and the first thing that a frozen program runs."""

import sys

from installer_stub.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
