"""The auditor's replay: everything the gateways wrote on the chain, decided again from the chain alone.

It shares nothing with the gateway but the core, and asks one node of the auditor's own choice.
"""

from app.verify.replay import Progress, verify
from app.verify.report import Finding, Flaw, Report
from app.verify.source import ChainMovedError, Rpc

__all__ = ["ChainMovedError", "Finding", "Flaw", "Progress", "Report", "Rpc", "verify"]
