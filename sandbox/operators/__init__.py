"""Stand-in operators: one file for each, run as the process of its CSV's Deployment with exactly the CSV's rights.

They follow what the real operators were observed to do, traps included; see sandbox/README.md.
"""
