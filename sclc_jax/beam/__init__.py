"""Pipelines of Apache Beam, for more pictures than one machine takes.

running.py     runs a pipeline, on this machine or elsewhere
prepare.py     a training set from picture files (`sclc data`)
transforms.py  compresses and evaluates pictures: for pipelines of your own

Needs the extra `beam`; nothing else in the package imports it.
"""
