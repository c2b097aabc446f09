#!/bin/bash
# A whole study on the GPUs of one allocation, where the cluster gives whole nodes only:
#   sbatch --gpus=4 --cpus-per-task=32 slurm/one_allocation.sh --configfile config/olmo-1b.yaml
# Two minutes before its time limit its jobs save their state, and it goes back to the queue. After
# a kill, submit it again.
#SBATCH --job-name=ptft-study
#SBATCH --nodes=1
#SBATCH --time=1-00:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append

[ ! -r .venv/bin/activate ] || . .venv/bin/activate
snakemake --profile profiles/workstation --cores "$SLURM_CPUS_ON_NODE" "$@" &
main=$!

save_and_requeue() {
    trap '' TERM
    scancel --full --signal=TERM "$SLURM_JOB_ID"
    wait "$main"
    scontrol requeue "$SLURM_JOB_ID"
}

trap save_and_requeue TERM
wait "$main"
