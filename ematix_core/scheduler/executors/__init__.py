"""Where jobs run: in this process, in processes of their own, as Kubernetes jobs, as cloud functions."""
