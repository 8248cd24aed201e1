"""``python -m installer_stub``, and the first thing that a frozen program runs."""

import sys

from installer_stub.cli import main
from installer_stub.unpacked import hold_and_sweep

if __name__ == "__main__":
    hold_and_sweep()
    sys.exit(main(sys.argv[1:]))
