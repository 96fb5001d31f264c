"""A SLURM cluster in processes of this machine: `sbatch`, `sacct`, `scancel` and `srun` as programs on PATH.

Jobs really run, each in a session of its own. A node is a lock: what asks for it with `--exclusive` holds it alone.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SBATCH = """#!{python}
import fcntl, os, re, subprocess, sys
from pathlib import Path

state = Path({state!r})
text = Path(sys.argv[-1]).read_text()
flags = dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", text, re.M))
with (state / "count").open("a+") as count:
    fcntl.flock(count, fcntl.LOCK_EX)
    count.seek(0)
    number = len(count.read()) + 1
    count.write(".")
nodes = sorted(path.name for path in state.glob("node-*"))
node = nodes[number % len(nodes)]
(state / f"{{number}}.flags").write_text(repr(flags))
(state / f"{{number}}.state").write_text(f"PENDING|{{node}}")
keeper = [sys.executable, str(state / "keeper.py"), str(number), node, str(int("exclusive" in flags))]
(state / f"{{number}}.script").write_text(text)  # the file is moved as soon as this program has ended
subprocess.Popen(keeper, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                 stderr=(state / "errors").open("a"))
print(f"Submitted batch job {{number}}")
"""

KEEPER = """
import fcntl, os, re, shutil, signal, subprocess, sys
from pathlib import Path

state, number, node, alone = Path(__file__).parent, sys.argv[1], sys.argv[2], sys.argv[3] == "1"
def say(what):  # at once: sacct may be reading it
    (state / f"{number}.said").write_text(f"{what}|{node}")
    (state / f"{number}.said").replace(state / f"{number}.state")
text = (state / f"{number}.script").read_text()
output = re.search(r"^#SBATCH --output=(.*)$", text, re.M)[1].strip("'").replace("%j", number).replace("%t", "0")
with (state / node).open("a") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
    if (state / f"{number}.cancelled").exists():
        sys.exit()
    say("RUNNING")
    variables = {"SLURM_JOB_ID": number, "SLURM_JOB_NODELIST": node, "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1",
                 "SLURM_NODEID": "0", "SLURMD_NODENAME": node, "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    with open(output, "a") as log:
        job = subprocess.Popen(["bash", "-c", text], env={**os.environ, **variables}, stdout=log, stderr=log,
                               start_new_session=True)
        (state / f"{number}.pid").write_text(str(job.pid))
        code = job.wait()
    if not (state / f"{number}.cancelled").exists() and not (state / f"{number}.lost").exists():
        say("COMPLETED" if code == 0 else "FAILED")
"""

SACCT = """#!{python}
import sys
from pathlib import Path

state = Path({state!r})
print("JobID|State|NodeList")
for number in [sys.argv[i + 1] for i, word in enumerate(sys.argv) if word == "-j"]:
    if (state / f"{{number}}.state").exists():
        print(f"{{number}}|" + (state / f"{{number}}.state").read_text())
"""

SCANCEL = """#!{python}
import os, signal, sys
from contextlib import suppress
from pathlib import Path

state = Path({state!r})
number = sys.argv[1]
(state / f"{{number}}.cancelled").touch()
(state / f"{{number}}.state").write_text("CANCELLED|none")
with suppress(FileNotFoundError, ProcessLookupError):
    os.killpg(int((state / f"{{number}}.pid").read_text()), signal.SIGKILL)
"""


class Slurm:
    """The cluster, with what its programs have written down."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self.state, self.programs = folder / "state", folder / "bin"
        self.state.mkdir(parents=True)
        self.programs.mkdir()
        for number in range(nodes):
            (self.state / f"node-{number}").touch()
        (self.state / "keeper.py").write_text(KEEPER)
        for name, text in (("sbatch", SBATCH), ("sacct", SACCT), ("scancel", SCANCEL), ("srun", "#!/bin/sh\nexit 1\n")):
            program = self.programs / name
            program.write_text(
                text.format(python=sys.executable, state=str(self.state)) if "{python}" in text else text
            )
            program.chmod(0o755)

    @property
    def path(self) -> str:
        """PATH with its programs first."""
        return os.pathsep.join([str(self.programs), os.environ["PATH"]])

    def flags(self) -> list[dict[str, str]]:
        """What each job asked for, in the order in which they were handed over."""
        files = sorted(self.state.glob("*.flags"), key=lambda file: int(file.stem))
        return [dict(eval(file.read_text())) for file in files]

    def fail(self, number: int) -> None:
        """Lose the node under a job."""
        (self.state / f"{number}.lost").touch()
        (self.state / f"{number}.state").write_text("NODE_FAIL|none")
        os.killpg(int((self.state / f"{number}.pid").read_text()), 9)
