"""Telemetry that was recorded, judged as if it were live.

Lives here: reading a stream through intake, engine and grouping, and what a backtest says of it.
Never here: the API, channels.
May import: settings and everything below it.
"""
