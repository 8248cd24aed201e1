"""What goes into the frozen installer, as lists that a person can read. ``stub.spec`` uses them, a test holds them."""

from typing import Final

from bundler.pack.stub_sources import BUILD_ONLY, PACKAGES

__all__ = ["BUILD_ONLY", "DISTRIBUTIONS", "EXCLUDES", "LEFT_TO_THE_HOST", "LIBRARIES", "METADATA", "PACKAGES"]

# Third-party top-level modules that may be inside; anything else fails tests/architecture/test_frozen.py.
LIBRARIES: Final = frozenset(
    {
        "paramiko",
        "bcrypt",  # paramiko
        "nacl",  # paramiko
        "cryptography",
        "cffi",  # cryptography, nacl
        "_cffi_backend",
        "zstandard",
        "yaml",
        "_yaml",
        "tqdm",
    }
)
# The distributions they come from: their versions are part of a frozen program's identity.
DISTRIBUTIONS: Final = ("paramiko", "bcrypt", "PyNaCl", "cryptography", "cffi", "zstandard", "PyYAML", "tqdm")

# paramiko reads its own version from its metadata at import.
METADATA: Final = ("paramiko",)

# Measured: without these the program is 3 MB smaller and starts 60 ms earlier, and nothing of ours uses them.
EXCLUDES: Final = (
    "invoke",  # paramiko tries it for ssh_config's "Match exec"; it drags in unittest.mock and asyncio
    "zstandard._cffi",  # 12 MB, the C backend does the same
    "zstandard.backend_cffi",
    "_codecs_cn",  # the tables of East Asian encodings: 1 MB; hosts speak UTF-8
    "_codecs_hk",
    "_codecs_iso2022",
    "_codecs_jp",
    "_codecs_kr",
    "_codecs_tw",
    "multiprocessing",  # we work in threads: hashing, zlib, zstd and the network let go of the interpreter lock
    "concurrent.futures.process",
    "numpy",
    "setuptools",
    "pkg_resources",
    "pip",
    "wheel",
    "packaging",
    "typing_extensions",
    "IPython",
    "matplotlib",
    "pandas",
    "rich",
    "tkinter",
    "sqlite3",
    "unittest",
    "doctest",
    "pydoc",
    "pdb",
    "lib2to3",
    "curses",
    "readline",
    "xmlrpc",
    "ftplib",
    "turtle",
    "test",
)

# Every host has its own, and one from here would need a newer glibc than theirs.
LEFT_TO_THE_HOST: Final = ("libgcc_s.so",)
