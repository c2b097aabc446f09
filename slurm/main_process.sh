#!/bin/bash
# One small job that submits all others, where no program may stay on the login node:
#   sbatch slurm/main_process.sh --configfile config/olmo-1b.yaml
# A minute before its time limit it goes back to the queue; jobs that it submitted run meanwhile,
# and it waits for them. After a kill, submit it again.
#SBATCH --job-name=ptft-main
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=2-00:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append

[ ! -r .venv/bin/activate ] || . .venv/bin/activate
snakemake --profile slurm "$@" &
main=$!
trap 'kill -KILL "$main"; scontrol requeue "$SLURM_JOB_ID"' TERM
wait "$main"
