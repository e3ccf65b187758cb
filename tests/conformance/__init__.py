"""Conformance of the sandbox's stand-ins with what the real operators were recorded to do."""
