"""Reports of finished experiments: the results page of a run, its plots, and comparisons of several runs.

Only here is matplotlib imported.
"""
