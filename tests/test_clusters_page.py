"""The scripts of docs/clusters.md do what the page says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

PAGE = (Path(__file__).parent.parent / "docs" / "clusters.md").read_text()
# Programs of a cluster: each writes down how it was called.
_PROGRAM = """\
#!/bin/bash
echo "$(basename $0) $*" >> "$CALLS"
"""
_WORKBENCH = (
    _PROGRAM
    + """\
trap 'echo parked >> "$CALLS"; exit 75' USR1
if [ -n "$ENDS_WITH" ]; then exit $ENDS_WITH; fi
for _ in $(seq 400); do sleep 0.05; done
"""
)


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.M | re.S)
    return str(found)


def submit(tmp_path: Path, **variables: str) -> tuple[subprocess.Popen[bytes], Path]:
    """The page's job as Slurm would start it on the first of its nodes."""
    script, programs, calls = tmp_path / "job.sh", tmp_path / "bin", tmp_path / "calls"
    script.write_text(block("bash"))
    programs.mkdir()
    for name in ("ray", "srun", "scontrol", "hostname", "workbench"):
        (programs / name).write_text(_WORKBENCH if name == "workbench" else _PROGRAM)
        (programs / name).chmod(0o755)
    (programs / "hostname").write_text("#!/bin/bash\necho node1\n")
    job = subprocess.Popen(
        ["bash", str(script), "studies/wines.yaml"],
        env={
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "CALLS": str(calls),
            "SLURM_JOB_ID": "7",
            "SLURM_CPUS_PER_TASK": "16",
            "ENDS_WITH": "",
            **variables,
        },
    )
    return job, calls


def test_the_job_for_slurm_parks_the_study_before_its_time_is_up_and_is_queued_again(
    tmp_path: Path,
) -> None:
    job, calls = submit(tmp_path, SLURM_NNODES="4", SLURM_GPUS_ON_NODE="2")
    until = time.monotonic() + 20
    while not calls.exists() or "workbench" not in calls.read_text():
        assert time.monotonic() < until
        time.sleep(0.02)
    time.sleep(0.2)  # The trap is set after the driver has started.
    job.send_signal(signal.SIGUSR1)
    assert job.wait(20) == 75
    lines = calls.read_text().splitlines()
    assert lines[0] == "ray get-auth-token --generate"
    assert lines[1] == "ray start --head --port=6379 --num-cpus=16 --num-gpus=2"
    assert "workbench run studies/wines.yaml --on ray" in lines
    (nodes,) = [line for line in lines if line.startswith("srun")]
    assert nodes.startswith("srun --nodes=3 --ntasks-per-node=1 --exclude=node1 ray start")
    assert nodes.endswith("--address=node1:6379 --num-cpus=16 --num-gpus=2 --block")
    assert lines[-3:] == ["parked", "ray stop", "scontrol requeue 7"]


@pytest.mark.parametrize("status", [0, 2, 4])
def test_the_job_for_slurm_ends_as_the_study_does(tmp_path: Path, status: int) -> None:
    job, calls = submit(tmp_path, SLURM_NNODES="1", ENDS_WITH=str(status))
    assert job.wait(20) == status
    assert "srun" not in calls.read_text()
    assert "scontrol" not in calls.read_text()


def test_the_manifest_for_kubernetes_starts_a_driver_and_mounts_its_home_everywhere() -> None:
    job = yaml.safe_load(block("yaml manifest"))
    cluster = job["spec"]["rayClusterSpec"]
    home = re.search(r"--home (\S+)", job["spec"]["entrypoint"])
    assert job["kind"] == "RayJob" and home is not None
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        (container,) = group["template"]["spec"]["containers"]
        assert container["volumeMounts"][0]["mountPath"] == home[1]
