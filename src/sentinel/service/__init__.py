"""The running process: who holds whom, which thread does what, and how it starts and ends.

Lives here: assembly from settings, the engine's thread, recovery, the relay, signals.
Never here: decisions about telemetry; those are the middle's.
May import: everything below it.
"""
