"""Where telemetry comes from.

Lives here: edges that read bytes and say where they stood.
Never here: decoding or deciding; that is intake's.
May import: connections, vitals, model, errors; not another edge.
"""
