"""Stand-in services: what runs in the operand pods that matter. Each connects with what its pod was given, or fails."""
