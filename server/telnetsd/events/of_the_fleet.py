"""Events of a fleet: who belongs to it, and which changes of other nodes were applied here."""

from typing import ClassVar, Literal

from telnetsd.events import fields as f
from telnetsd.events.event import Event
from telnetsd.events.reason import CommonReason, FleetChangeReason, FleetObjection, FleetStop


class FleetChangeApplied(Event):
    """A change that another node of the fleet made takes effect here."""

    action: ClassVar = "fleet-change-applied"
    reason: FleetChangeReason
    node: f.FleetNodeName
    change_id: f.FleetChangeId
    position: f.FleetPosition | None = None


class FleetChangeRefused(Event):
    """A change in the fleet's stream does not count: every node refuses it."""

    action: ClassVar = "fleet-change-refused"
    reason: FleetObjection
    node: f.FleetNodeName
    position: f.FleetPosition | None = None


class FleetStopped(Event):
    """This node applies no more changes of the fleet, until an operator has looked at it."""

    action: ClassVar = "fleet-stopped"
    reason: FleetStop
    position: f.FleetPosition


class FleetFounded(Event):
    """This node founded a fleet, or wrote its first state into the engine."""

    action: ClassVar = "fleet-founded"
    reason: Literal[CommonReason.OK] = CommonReason.OK
    fleet: f.FleetName
    node: f.FleetNodeName


class FleetNodeInvited(Event):
    """A machine was invited to join the fleet as a node."""

    action: ClassVar = "fleet-node-invited"
    reason: Literal[CommonReason.OK] = CommonReason.OK
    node: f.FleetNodeName
    capabilities: f.FleetCapabilities


class FleetNodeAdmitted(Event):
    """A machine with an invitation joined the fleet as a node."""

    action: ClassVar = "fleet-node-admitted"
    reason: Literal[CommonReason.OK] = CommonReason.OK
    node: f.FleetNodeName
    capabilities: f.FleetCapabilities
    life: f.FleetLife


class FleetNodeRevoked(Event):
    """A node does not belong to the fleet any more: what it signs does not count."""

    action: ClassVar = "fleet-node-revoked"
    reason: Literal[CommonReason.OK] = CommonReason.OK
    node: f.FleetNodeName
