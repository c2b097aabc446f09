"""Hides the plugin of this name, half of Snakemake's start, where PYTHONPATH has this folder.

Snakemake imports every plugin that it finds, and takes packages alone for plugins.
"""
