"""The operators, one module each. Importing them loads nothing of ematix but what a declaration needs."""

from __future__ import annotations

from ematix_provider.operators.close import EmatixCloseOperator
from ematix_provider.operators.gate import EmatixGateOperator
from ematix_provider.operators.job import EmatixJobOperator
from ematix_provider.operators.move import EmatixMoveOperator
from ematix_provider.operators.stream import EmatixStreamOperator
from ematix_provider.operators.workflow import EmatixWorkflowOperator

__all__ = [
    "EmatixCloseOperator",
    "EmatixGateOperator",
    "EmatixJobOperator",
    "EmatixMoveOperator",
    "EmatixStreamOperator",
    "EmatixWorkflowOperator",
]
