"""What a call would run, what it takes, and how far a study has come."""
