"""The record of a trial on disk, and its data classes.

The trial directory is the primary record of a trial; Optuna's and MLflow's stores are derived from
it. The worker that holds its lock writes it, except for the specification, which the driver writes.
It needs neither torch nor Optuna nor MLflow to be read, only JSON.

```
spec.json       what to do (TrialSpec)
history.jsonl   one EpochResult a line, written before it is reported
checkpoint.pt   state after some epoch, with checkpoint.pt.sha256; the one before as checkpoint.1.pt
best.safetensors, best.json   weights of the epoch that the objective's rule chose
result.json     how it ended (Result); absent while it runs
artifacts/      pictures and tables of the trial
lock            held by the worker that writes
```
"""

from workbench.record import places
from workbench.record.cells import (
    FILE_NAME,
    STUDY_NAME,
    Addition,
    Cell,
    addition_name,
    experiment_of,
    is_cell,
    is_cell_of,
)
from workbench.record.contents import (
    Decision,
    EpochResult,
    Objective,
    Result,
    Role,
    State,
    TrialSpec,
    epoch_from_json,
    now,
    plain,
    result_from_json,
    spec_from_json,
    to_json,
)
from workbench.record.directory import (
    DamagedRecordError,
    TrialDirectory,
    directory_of,
    environment_path,
    protocol_path,
    scan,
    study_directory,
    study_of,
    study_record_id,
)
from workbench.record.files import sha256_of, write_atomically

__all__ = [
    "FILE_NAME",
    "STUDY_NAME",
    "Addition",
    "Cell",
    "DamagedRecordError",
    "Decision",
    "EpochResult",
    "Objective",
    "Result",
    "Role",
    "State",
    "TrialDirectory",
    "TrialSpec",
    "addition_name",
    "directory_of",
    "environment_path",
    "epoch_from_json",
    "experiment_of",
    "is_cell",
    "is_cell_of",
    "now",
    "places",
    "plain",
    "protocol_path",
    "result_from_json",
    "scan",
    "sha256_of",
    "spec_from_json",
    "study_directory",
    "study_of",
    "study_record_id",
    "to_json",
    "write_atomically",
]
