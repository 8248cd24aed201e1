"""The table of contents: what an installation is, and what a build shares with it.

The agents run by then, under the lease (``start_agents``). Each phase says what its steps wait for: docs/adr/0018.
"""

from __future__ import annotations

from typing import Final

from installer_stub.host.model import Role
from installer_stub.phases.accept import Accept
from installer_stub.phases.balance import Balance
from installer_stub.phases.base import Phase
from installer_stub.phases.configure_runtime import ConfigureRuntime
from installer_stub.phases.copy_bundle import CopyBundle
from installer_stub.phases.copy_stub import Claim, CopyStub
from installer_stub.phases.create_authority import CreateAuthority
from installer_stub.phases.create_credential import CreateCredential
from installer_stub.phases.forget_tasks import ForgetTasks
from installer_stub.phases.install_files import InstallFiles
from installer_stub.phases.join_masters import JoinMasters
from installer_stub.phases.join_nodes import EndJoining, JoinNodes
from installer_stub.phases.keep_record import KeepRecord
from installer_stub.phases.keep_values import KeepValues
from installer_stub.phases.label_nodes import LabelNodes
from installer_stub.phases.name_api import NameApi
from installer_stub.phases.point_proxy import PointProxy
from installer_stub.phases.prepare_hosts import PrepareHosts
from installer_stub.phases.pull_images import PullImages
from installer_stub.phases.read_again import ReadAgain
from installer_stub.phases.run_commands import RunCommands
from installer_stub.phases.serve_images import ServeImages, TrustRegistry
from installer_stub.phases.set_aside import SetAside
from installer_stub.phases.settle import Settle
from installer_stub.phases.spread_dns import SpreadDns
from installer_stub.phases.start_first_master import StartFirstMaster
from installer_stub.phases.write_kubeconfig import WriteKubeconfig
from installer_stub.site.model import BundleState

INSTALL: Final[tuple[Phase, ...]] = (
    Claim(),
    CopyStub(),
    CreateAuthority(),
    CreateCredential(),
    CopyBundle(),
    SetAside(),
    PrepareHosts(),
    InstallFiles(Role.MASTER),  # from their own artifact
    ServeImages(),
    ReadAgain(),
    TrustRegistry(),
    InstallFiles(Role.NODE),  # from the masters' registry
    ConfigureRuntime(),
    StartFirstMaster(),
    PullImages(),  # behind it, so that hundred of them do not keep it from beginning
    NameApi(),
    PointProxy(),
    KeepRecord(BundleState.INSTALLING),
    JoinMasters(),
    JoinNodes(),
    EndJoining(),
    LabelNodes(),
    Balance(),
    KeepValues(),
    RunCommands(),
    SpreadDns(),
    Settle(),
    Accept(),
    ForgetTasks(),
    KeepRecord(BundleState.INSTALLED, told=True),
    WriteKubeconfig(),
)

# A build runs these on its temporary cluster; the recording proxy is its registry, and settling has to wait for that too.
RECORD: Final[tuple[Phase, ...]] = (
    Claim(),
    CopyStub(),
    PrepareHosts(),
    InstallFiles(Role.MASTER),
    ConfigureRuntime(),
    StartFirstMaster(),
    KeepValues(),
    RunCommands(),
)

# And these where it was told of more than one bare host: several, or labelled ones.
RECORD_TOPOLOGY: Final[tuple[Phase, ...]] = (
    Claim(),
    CopyStub(),
    PrepareHosts(),
    InstallFiles(Role.MASTER),
    InstallFiles(Role.NODE),  # all from the recording proxy
    ConfigureRuntime(),
    StartFirstMaster(),
    PointProxy(),
    JoinMasters(),
    JoinNodes(),
    EndJoining(),
    LabelNodes(),
    Balance(),
    KeepValues(),
    RunCommands(),
)
