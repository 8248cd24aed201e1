"""What a build asks in its first second, before it downloads anything: whether this engine can ever run its cluster."""

from __future__ import annotations

from bundler.doctor.examine import Answer, of_rights
from bundler.engine import Engine
from bundler.errors import ClusterFailed
from bundler.lab.way import Way, find


def check_engine(engine: Engine, way: Way) -> None:
    """Raise ClusterFailed, DockerError if the engine gives no privileged containers, no network, or does not lead to the recorder by ``way``."""
    rights = of_rights(engine.info())
    if rights.answer is Answer.NO:
        raise ClusterFailed(f"{rights.what}: no, the engine is {rights.found}", rights.remedy)
    find(engine, way)
