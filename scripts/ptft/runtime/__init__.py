"""What a job runs under: leases of GPUs, locks, records of attempts, how it ends."""
