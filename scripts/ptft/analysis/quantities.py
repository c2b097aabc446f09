"""Quantities by which studies are compared; in a module that does not import polars."""

QUANTITIES = {
    "base": "Base scores of all models",
    "gain": "Gain by fine-tuning of all models",
    "kept": "Change on other families of all models",
}
"""of table `compared` -> its title"""
