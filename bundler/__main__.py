"""``python -m bundler`` and the program ``airseal``."""

import gc
import sys

from bundler.cli import run


def main() -> int:
    """Run the command line of this process."""
    try:
        return run(sys.argv[1:])
    finally:
        gc.freeze()  # an interpreter that ends looks through all it has for cycles, several times: 15 ms for what the system frees anyway


if __name__ == "__main__":
    sys.exit(main())
