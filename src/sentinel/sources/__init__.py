"""Where telemetry comes from.

Lives here: edges that read bytes and say where they stood.
Never here: decoding or deciding; that is intake's, which also inflates and finds where lines end.
May import: connections, vitals, intake, model, errors; not another edge.
"""
