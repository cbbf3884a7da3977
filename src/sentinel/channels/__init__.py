"""Who is told of incidents.

Lives here: edges that tell, and cannot be asked.
Never here: whether and when something is told; that is alerting's.
May import: connections, vitals, model, errors; not another edge.
"""
