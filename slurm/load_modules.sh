# What a cluster's job runs before Python, if slurm/site.yaml names modules. For any POSIX shell:
# sh may not have the function `module`, or not take over the one of a login shell.

load_modules() { # folder of Python, modules
    ptft_python=$1
    shift
    for ptft_file in "${MODULESHOME:-}/init/sh" /etc/profile.d/*mod*.sh; do
        command -v module > /dev/null && break
        [ -r "$ptft_file" ] && . "$ptft_file"
    done
    if ! command -v module > /dev/null; then
        echo "error: slurm/site.yaml: modules: $(hostname) has no command 'module'; remove the key, or exclude this node" >&2
        return 1
    fi
    for ptft_module in "$@"; do
        if ! module load "$ptft_module"; then
            echo "error: slurm/site.yaml: modules: $(hostname) cannot load '$ptft_module'; see 'module avail' there" >&2
            return 1
        fi
    done
    # A module of Python must not take the place of the environment's.
    export PATH="$ptft_python:$PATH"
}
