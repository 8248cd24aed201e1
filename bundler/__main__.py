"""``python -m bundler`` and the program ``airseal``."""

import sys

from bundler.cli import run


def main() -> int:
    """Run the command line of this process."""
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
