"""What tests on a sandbox share: one way to a sandbox in a known state, to its cluster, to a module and to a play."""
