"""The site's record: brought up to what is true now, on every master and in the cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from installer_stub.distro.kubeadm import KUBEADM
from installer_stub.errors import HostError, RecordError
from installer_stub.phases.base import Context, Phase
from installer_stub.phases.claim import is_claimed, keep_record
from installer_stub.phases.cluster_access import kubectl, speaker, wait_for_api
from installer_stub.phases.point_proxy import PointProxy
from installer_stub.phases.start_first_master import StartFirstMaster
from installer_stub.plan.model import HostPlan, Plan
from installer_stub.site.model import BundleState, SiteRecord
from installer_stub.site.store import record_in_cluster, write_in_cluster


class KeepRecord(Phase):
    """Runs once when the cluster stands, and once when the application is accepted: ``state`` says which.

    ``told``: all hosts of this run have by now what follows from the record.
    """

    title: ClassVar[str] = "Keep the site's record"
    acts_on_cluster: ClassVar[bool] = True

    def __init__(self, state: BundleState, *, told: bool = False) -> None:
        self._state, self._told = state, told
        self.after = None if told else (StartFirstMaster, PointProxy)

    def hosts(self, plan: Plan) -> tuple[HostPlan, ...]:
        """Masters keep it."""
        return plan.masters

    def is_needed(self, context: Context) -> bool:
        """Compare the masters' files and the cluster's copy with what is true."""
        record = context.record
        if record is None:
            return False
        if self._true(context, record) != record or not is_claimed(context):
            return True
        wait_for_api(context)
        try:
            return record_in_cluster(kubectl(context)) != record
        except RecordError:
            return True  # the masters' copies are sound: it is written again

    def run(self, context: Context) -> None:
        """Write the masters' files first: they are read when the API is not there."""
        if context.record is None:
            return
        context.record = self._true(context, context.record)
        keep_record(context)
        write_in_cluster(kubectl(context), context.record)

    def _true(self, context: Context, record: SiteRecord) -> SiteRecord:
        """Return the record with the cluster's authority and this bundle's state. The authority is written down once."""
        authority = record.authority
        if not authority:
            master = speaker(context).connection
            certificate = master.read(KUBEADM.authority)
            if not certificate:
                raise HostError(master.host.address, f"there is no {KUBEADM.authority}", "run again")
            authority = KUBEADM.authority_hash(certificate)
        name = context.plan.bundle.name
        bundles = tuple(
            replace(each, state=self._state) if each.name == name and each.state is BundleState.INSTALLING else each
            for each in record.site.bundles
        )
        told = {host.name for host in context.reachable()} if self._told else set()
        pending = [name for name in record.pending if name not in told]
        return record.advanced(record.changed, site=replace(record.site, bundles=bundles), authority=authority, pending=pending)
