"""Model folders: what belongs to one, how it is loaded and saved."""
