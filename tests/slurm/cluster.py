"""A real Slurm on this machine: munge, one controller and several nodes on loopback.

Every node is a slurmd of its own with stand-in GPUs. Only what is started here is stopped,
by process id, and only files that were written here are removed.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from filelock import FileLock

from ..waiting import PATIENCE, wait_until

PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "squeue"]
CONFIGURATION = Path("/etc/slurm/slurm.conf")  # jobs lose SLURM_CONF: it must lie here
GRES = Path("/etc/slurm/gres.conf")
DEVICES = "/dev/nvidia"  # and a number
MARK = "# written by tests/slurm; removed when they end\n"
FIRST_PORT = 26817


def why_not() -> str | None:
    """Why no cluster can be started here; None if one can."""
    missing = [program for program in PROGRAMS if find(program) is None]
    if missing:
        return f"Slurm is not installed here: no {', '.join(missing)} (Debian: slurm-wlm munge)"
    if os.getuid() != 0:
        return "a Slurm for tests needs root, for munge's key and /etc/slurm"
    if CONFIGURATION.exists() and MARK not in CONFIGURATION.read_text():
        return f"{CONFIGURATION} belongs to another Slurm, which is left alone"
    return None


def find(program: str) -> str | None:
    """Path of a program; daemons lie in sbin, which not every PATH has."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@contextlib.contextmanager
def started(folder: Path, **size: int) -> Iterator["Cluster"]:
    """A running Slurm, the only one of these on the machine, whose configuration it has.

    Args:
        size: fields of :class:`Cluster`.
    """
    with FileLock("/tmp/ptft-slurm-tests.lock"):
        cluster = Cluster(folder, **size)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that the system gives to connections."""
    found = []
    for port in range(FIRST_PORT, 32768):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"no {count} free ports from {FIRST_PORT} on")


@dataclass
class Cluster:
    """A running Slurm; its daemons can be stopped and started one by one."""

    folder: Path
    nodes: int = 3
    gpus: int = 1
    """of a node"""
    cpus: int = 4
    """of a GPU"""
    port: int = 0
    """of the controller"""
    _daemons: dict[str, subprocess.Popen] = field(default_factory=dict)
    _made: list[Path] = field(default_factory=list)

    def start(self) -> None:
        """Start everything and wait until all nodes are idle."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_configuration()
        self._start_munge()
        self.start_controller()
        for number in range(self.nodes):
            self.start_node(f"d{number}")
        wait_until(lambda: self.states() == ["idle"] * self.nodes, "all nodes are idle")

    def stop(self) -> None:
        """Stop what was started and remove what was written."""
        self.call("scancel", "--user", str(os.getuid()), check=False)
        for name in reversed(list(self._daemons)):
            self._end(name, signal.SIGTERM)
        for path in self._made:
            path.unlink(missing_ok=True)

    def start_controller(self) -> None:
        """Start slurmctld, which finds the state of a former one."""
        self._daemon("slurmctld", [find("slurmctld"), "-D", "-i"])
        wait_until(self._answers, "slurmctld answers", self._daemons["slurmctld"])

    def lose_controller(self, requests: int) -> None:
        """Let slurmctld be away until so many requests have failed; jobs go on."""
        self._end("slurmctld", signal.SIGTERM)
        with socket.create_server(("127.0.0.1", self.port)) as nobody:
            nobody.settimeout(PATIENCE)
            for _ in range(requests):
                nobody.accept()[0].close()
        self.start_controller()

    def start_node(self, name: str) -> None:
        """Start a node's slurmd."""
        self._daemon(name, [find("slurmd"), "-D", "-N", name])

    def kill_node(self, name: str, jobs: list[int]) -> None:
        """A power failure of a node: its slurmd and the processes of its jobs are gone.

        Args:
            jobs: Slurm ids of the jobs that run there.
        """
        self._end(name, signal.SIGKILL)
        for job in jobs:
            for process in processes_of_job(job):
                kill(process, signal.SIGKILL)
        self.call("scontrol", "update", f"nodename={name}", "state=down", "reason=test")

    def revive_node(self, name: str) -> None:
        """Switch a killed node on again."""
        self.start_node(name)
        wait_until(lambda: "down" not in self.states(name)[0], f"{name} is back")

    def jobs(self, *states: str) -> list[dict[str, str]]:
        """Jobs that the controller remembers: comment holds rule and wildcards, memory MB."""
        fields = ["id", "name", "state", "node", "comment", "memory", "partition"]
        options = ["--all", "--states=all", "--noheader", "--noconvert"]
        output = self.call("squeue", *options, "-o", "%i|%j|%T|%N|%k|%m|%P")
        found = [dict(zip(fields, line.split("|"), strict=True)) for line in output.splitlines()]
        return [job for job in found if not states or job["state"] in states]

    def states(self, *names: str) -> list[str]:
        """State of each of these nodes, or of all."""
        chosen = ["--nodes", ",".join(names)] if names else []
        output = self.call("sinfo", "--noheader", "-N", *chosen, "-o", "%N %T", check=False)
        # A node is listed with each of its partitions.
        return list(dict(line.split() for line in output.splitlines()).values())

    def call(self, *command: str, check: bool = True) -> str:
        """Output of one of Slurm's programs."""
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def _answers(self) -> bool:
        done = subprocess.run(["scontrol", "ping"], text=True, capture_output=True, check=False)
        return "is UP" in done.stdout

    def _start_munge(self) -> None:
        if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode == 0:
            return  # runs already, and goes on afterwards
        if not Path("/etc/munge/munge.key").exists():
            subprocess.run([find("mungekey"), "--create"], check=True)
        socket_folder = Path("/run/munge")
        socket_folder.mkdir(exist_ok=True)
        shutil.chown(socket_folder, "munge", "munge")
        socket_folder.chmod(0o755)
        self._daemon(
            "munged",
            ["--reuid=munge", "--regid=munge", "--init-groups", find("munged"), "--foreground"],
        )
        wait_until((socket_folder / "munge.socket.2").exists, "munged listens")

    def _write_configuration(self) -> None:
        host = socket.gethostname()
        self.port, *node_ports = free_ports(1 + self.nodes)
        spool, log = self.folder / "spool", self.folder / "log"
        for path in (spool, log, self.folder / "state"):
            path.mkdir()
        text = f"""{MARK}ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={self.port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=20
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
MinJobAge=600
KillWait=5
SlurmdTimeout=600
MessageTimeout=100
TCPTimeout=30
BatchStartTimeout=600
SlurmdParameters=config_overrides
JobRequeue=1
SchedulerParameters=sched_interval=2,batch_sched_delay=1,bf_interval=5
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={spool}/%n
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/slurmd-%n.pid
SlurmctldLogFile={log}/slurmctld.log
SlurmdLogFile={log}/slurmd-%n.log
NodeName=DEFAULT CPUs={self.gpus * self.cpus} RealMemory={100000 * self.gpus}
NodeName=DEFAULT Gres=gpu:a100:{self.gpus} State=UNKNOWN
"""
        for name, node_port in enumerate(node_ports):
            text += f"NodeName=d{name} NodeHostname={host} NodeAddr=127.0.0.1 Port={node_port}\n"
        text += f"PartitionName=gpu Nodes=d[0-{self.nodes - 1}] Default=YES"
        text += " MaxTime=INFINITE State=UP OverTimeLimit=0\n"
        text += f"PartitionName=chosen Nodes=d[0-{self.nodes - 1}] MaxTime=INFINITE State=UP\n"
        gres = f"{MARK}AutoDetect=off\n"
        gres += f"NodeName=d[0-{self.nodes - 1}] Name=gpu Type=a100"
        gres += f" File={DEVICES}[0-{self.gpus - 1}]\n"
        CONFIGURATION.parent.mkdir(exist_ok=True)
        for path, content in ((CONFIGURATION, text), (GRES, gres)):
            path.write_text(content)
            self._made.append(path)
        for device in (Path(f"{DEVICES}{number}") for number in range(self.gpus)):
            if not device.exists():
                os.mknod(device, 0o600 | 0o020000, os.makedev(195, 0))
                self._made.append(device)

    def _daemon(self, name: str, command: list[str]) -> None:
        """Start a daemon that ends with this process, even if that is killed."""
        with (self.folder / f"{name}.out").open("a") as output:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _end(self, name: str, number: signal.Signals) -> None:
        daemon = self._daemons.pop(name, None)
        if daemon is None:
            return
        daemon.send_signal(number)
        try:
            daemon.wait(60)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def processes_of_job(job: int | str) -> list[int]:
    """Processes that run for a Slurm job, by their environment.

    Its slurmstepd, too, without which Slurm takes the job for a running one.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            stepd = " ".join(process.cmdline()).startswith(f"slurmstepd: [{job}.")
            if stepd or process.environ().get("SLURM_JOB_ID") == str(job):
                found.append(process.pid)
    return found


def kill(process: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended."""
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return
