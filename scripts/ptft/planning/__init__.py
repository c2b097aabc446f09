"""What a call would run, what it takes, how far a study has come."""
