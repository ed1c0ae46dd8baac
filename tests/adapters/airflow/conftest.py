"""Airflow reads its settings when it is imported: they are set before that, to a home that no other test has."""

from __future__ import annotations

import os
import tempfile

if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-of-tests-")
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] = "False"
