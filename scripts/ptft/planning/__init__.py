"""Plans: the jobs of a call, what they take, and how far a study has come."""
