"""What studies are compared by; apart, because the workflow is read without polars."""

QUANTITIES = {
    "base": "Base scores of all models",
    "gain": "Gain by fine-tuning of all models",
    "kept": "Change on other families of all models",
}
"""of table `compared` -> its title"""
