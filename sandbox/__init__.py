"""A local stand-in for an OpenShift cluster: a real control plane and a real OLM, with everything else played.

Never part of the built collection. `python -m sandbox --help` lists the commands.
"""
