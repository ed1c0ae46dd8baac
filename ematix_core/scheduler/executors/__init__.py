"""Where jobs run: in this process, in processes of their own, as Kubernetes jobs, as cloud functions."""

from ematix_core.scheduler.executors.choice import executor_of

__all__ = ["executor_of"]
