"""What pages read beside the index: executions and their steps, and what only the laptop's emulator shows."""
