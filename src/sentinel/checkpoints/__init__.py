"""Where state is kept together with its position.

Lives here: edges that write state so that it is whole or not there.
Never here: what the state means.
May import: connections, vitals, model, errors; not another edge.
"""
