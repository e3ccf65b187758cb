"""The control plane of a sandbox: obtained, configured, supervised, snapshotted."""
