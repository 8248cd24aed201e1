"""The build: Kubefile, bases, temporary cluster, recording, packing, freezing. Never frozen itself."""
