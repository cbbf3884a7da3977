"""Generated traffic with incidents in it, and a show that scores itself against them.

Lives here: the traffic of a few imagined services, what is planted in it, and the comparison.
Never here: detection; the demo runs the same replay as everybody's data.
May import: replay and everything below it.
"""
