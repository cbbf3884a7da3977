"""HTTP: routes, problems, the API's page.

Lives here: what a request means and what its answer looks like.
Never here: state; everything is asked of the desk that the service gives.
May import: everything below it.
"""
