"""The surroundings of a job: leases of GPUs, locks, records of attempts, how it ends."""
