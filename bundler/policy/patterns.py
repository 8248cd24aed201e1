"""Patterns of repositories: ``registry.example.com/shop/*`` (one part of the name) and ``**`` (any number of them)."""

from __future__ import annotations

import re
from typing import Final

from registry_snapshot.oci.reference import DOCKER_HUB, looks_like_registry

MOST: Final = 300  # characters
_TOKENS: Final = re.compile(r"\*+|.", re.DOTALL)
_LETTERS: Final = re.compile(r"[A-Za-z0-9._:/*\[\]-]+")


def matches(name: str, pattern: str) -> bool:
    """Tell whether a repository's full name is meant. In a time that both lengths' product bounds, whatever the pattern is."""
    tokens = _TOKENS.findall(pattern)
    states = _past_stars({0}, tokens)
    for letter in name:
        following = set[int]()
        for state in states:
            token = tokens[state] if state < len(tokens) else ""
            if token.startswith("*"):
                if len(token) > 1 or letter != "/":
                    following.add(state)
            elif token == letter:
                following.add(state + 1)
        states = _past_stars(following, tokens)
    return len(tokens) in states


def _past_stars(states: set[int], tokens: list[str]) -> set[int]:
    """Return the states, and those behind the stars that they stand at: a star may stand for nothing."""
    found = set(states)
    waiting = list(states)
    while waiting:
        state = waiting.pop()
        if state < len(tokens) and tokens[state].startswith("*") and state + 1 not in found:
            found.add(state + 1)
            waiting.append(state + 1)
    return found


def pattern_problem(pattern: str) -> str:
    """Return what is wrong with a pattern, nothing if it can mean something."""
    if pattern == "**":
        return ""
    if not _LETTERS.fullmatch(pattern) or "***" in pattern:
        return "is no pattern: a full name without tag and digest, with * for a part of it and ** for any number of parts"
    registry, slash, path = pattern.partition("/")
    if not slash or not path:
        return "names no repository: write REGISTRY/PATH, or REGISTRY/** for all of a registry"
    if not looks_like_registry(registry.replace("*", "a")):
        return "begins with no registry: images of Docker Hub are docker.io/library/NAME and docker.io/OWNER/NAME"
    return "has a tag: rules are about repositories" if ":" in path else _of_docker_hub(registry, path)


def _of_docker_hub(registry: str, path: str) -> str:
    if registry in {"index.docker.io", "registry-1.docker.io"}:
        return f"matches nothing: Docker Hub is {DOCKER_HUB} here"
    if registry == DOCKER_HUB and "/" not in path and "**" not in path:
        return "matches nothing: names of Docker Hub have two parts, docker.io/library/redis"
    return ""
