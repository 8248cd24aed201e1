"""The step that records: what was recorded from the same inputs is taken as it was, unless something is to be asked anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bundler.coverage.lists import Lists
from bundler.coverage.remembered import recall
from bundler.errors import BuildError
from bundler.options import BuildOptions
from bundler.pack.stub_runtime import StubRuntime
from bundler.policy.judge import held_to
from bundler.steps import recorded, sealable
from bundler.steps.locked import check_locked, check_update, pins, read_lock
from bundler.steps.recorded import Recorded
from bundler.steps.sealable import Sealable
from bundler.steps.shelf import Shelf, key_of
from installer_stub.bundle.model import BundleInfo, ImageLock
from installer_stub.phases.reporter import Reporter
from installer_stub.values.given import text_of
from installer_stub.values.site_values import SiteValues
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.base import BlobReader

STEP: Final = "record"

Pins = Mapping[Reference, Descriptor]


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a recording depends on, but for what registries say of tags: that is asked once, and again by ``--update``."""

    info: BundleInfo
    lists: Lists
    values: SiteValues
    stub: StubRuntime
    host_image: str

    def sealable(self, options: BuildOptions) -> Sealable:
        """Return what sealing the recording needs."""
        return Sealable(self.info, self.key(options), self.stub.digest, options.rehearsal.allowed)

    def steps(self, options: BuildOptions) -> tuple[str, ...]:
        """Return the names of the results that a file consists of, the recording that a policy was asked about among them."""
        return f"{STEP}/{self.recorded_key(options)}", *self.sealable(options).steps

    def key(self, options: BuildOptions) -> str:
        """Return the key of what the step gives: of a recording that was held to a policy another than of the recording alone."""
        policy = options.attached.policy
        return self.recorded_key(options) if policy is None else key_of({"recording": self.recorded_key(options), **policy.to_key()})

    def recorded_key(self, options: BuildOptions) -> str:
        """Return the key of the recording, which no policy changes."""
        info, effective = self.info, self.values.effective
        return key_of(
            {
                "cluster": str(info.cluster.digest),
                "commands": [(command.argv, command.timeout) for command in info.commands],
                "environment": dict(info.environment),
                "labels": dict(info.labels),
                "platforms": info.platforms,
                "listed": sorted((str(reference), where) for where, reference in self.lists.listed),
                "blocked": sorted(map(str, self.lists.blocked)),
                "values": effective.variables,
                "secrets": [(path, text_of(secret)) for path, secret in effective.secrets],
                "stub": self.stub.digest,
                "host": self.host_image,
                "quiet": options.quiet_period,
                "strict": options.strict,
                "internet": options.rehearsal.allow_internet,
                "topology": str(options.recorded_on),
                "attached": options.attached.taken,
            }
        )


def recording(options: BuildOptions, inputs: Inputs, blobs: BlobReader, make: Callable[[Pins], Recorded], reporter: Reporter) -> Recorded:
    """Return what was recorded of the same inputs, or what ``make`` records now; it gets what tags have to mean. It can be sealed then.

    A policy is asked about it each time. Raises PolicyViolated, LockDiffers, UsageError, and what ``make`` raises.
    """
    wanted = read_lock(options.steps.locked) if options.steps.locked else None
    last = _last(options) if options.steps.update else None
    check_update(options.steps.update, last)
    shelf, key = Shelf(options.cache, STEP), inputs.recorded_key(options)
    known = None if options.steps.update or options.keep else shelf.get(key)
    found = recorded.decode(known) if known is not None else None
    if found is not None and recorded.is_whole(found, blobs, options.platforms):
        reporter.step(f"recorded before, from the same inputs: {found.lock.count} (--update all records again)")
    else:
        found = replace(make(pins(wanted or last, options.steps.update)), time=time.time())
        shelf.put(key, recorded.encode(found))
    if (policy := options.attached.policy) is not None:
        held = held_to(policy, found.lock, blobs, found.coverage.unread)
        reporter.step(f"every image is as {policy.name} wants it: {sum(bool(each.key) for each in held.images)} of {len(held.images)} signed")
        found = replace(found, coverage=replace(found.coverage, signatures=held))
        shelf.put(inputs.key(options), recorded.encode(found))
    if wanted is not None:
        check_locked(wanted, found.lock)
    sealable.keep(options.cache, inputs.sealable(options))
    return found


def _last(options: BuildOptions) -> ImageLock | None:
    try:
        return recall(options.cache, options.title).lock
    except BuildError:
        return None
