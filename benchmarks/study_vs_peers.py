"""How long a study takes against other tools: the same model, space and budget, whole commands.

    pip install "ray[tune]" accelerate
    python benchmarks/study_vs_peers.py [ROUNDS]

16 trials of 3 epochs fine-tune a BERT of 4 layers on 600 texts; the learning rate and the freeze
depth (no layer, half of them, all) are drawn at random, and nothing is pruned. The peers follow
their documentation: Hugging Face's ``Trainer.hyperparameter_search`` with Optuna, one trial at a
time; Ray Tune with ``OptunaSearch`` and ``MLflowLoggerCallback``, a trial for each core. Workbench
starts without stored activations. Tracking is on where the documentation has it.

Prints seconds as minimum, median and maximum, and the ratio of the medians.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRIALS, EPOCHS, BATCH, LENGTH = 16, 3, 16, 32
TRAIN, VALIDATION, TEST = 600, 200, 100

STUDY = f"""\
# How many layers of BERT should be trained?
name: peers
recipe:
  dataset:
    {{name: text_table, path: texts.csv, text: text, label: label,
     validation: {VALIDATION}, test: {TEST}}}
  backbone: {{name: ./bert, weights: hub, max_length: {LENGTH}, padding: max_length}}
  optimizer: adamw
  epochs: {EPOCHS}
  batch_size: {BATCH}
tune:
  learning_rate: {{low: 1.0e-5, high: 1.0e-3, log: true, default: 1.0e-4}}
  freeze_depth: [0, 3, 5]
search: {{trials: {TRIALS}, sampler: random, pruner: none, seed: 0}}
"""

COMMON = f"""\
import csv, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

TRIALS, EPOCHS, BATCH = {TRIALS}, {EPOCHS}, {BATCH}
TRAIN, ALL = {TRAIN}, {TRAIN + VALIDATION}

def rows():
    with open(FOLDER + "/texts.csv") as file:
        found = [(row["text"], int(row["label"] == "good")) for row in csv.DictReader(file)]
    tokens = AutoTokenizer.from_pretrained(FOLDER + "/bert")(
        [text for text, _ in found], padding="max_length", truncation=True, max_length={LENGTH},
        return_tensors="pt",
    )
    return tokens, torch.tensor([label for _, label in found])

def model_of(depth):
    model = AutoModelForSequenceClassification.from_pretrained(FOLDER + "/bert", num_labels=2)
    if depth:
        frozen = [model.bert.embeddings, *model.bert.encoder.layer[: depth - 1]]
        frozen += [model.bert.pooler] if depth == 5 else []
        for module in frozen:
            module.requires_grad_(False)
    return model
"""

HUGGING_FACE = """\
import os
FOLDER = os.getcwd()
exec(open("common.py").read())
import numpy as np
from transformers import Trainer, TrainingArguments

class Rows(torch.utils.data.Dataset):
    def __init__(self, tokens, labels, part):
        self.columns = {name: column[part] for name, column in tokens.items()}
        self.columns["labels"] = labels[part]
    def __len__(self):
        return len(self.columns["labels"])
    def __getitem__(self, number):
        return {name: column[number] for name, column in self.columns.items()}

tokens, labels = rows()

def model_init(trial):
    return model_of(0 if trial is None else trial.suggest_categorical("depth", [0, 3, 5]))

def hp_space(trial):
    return {"learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-3, log=True)}

def compute_metrics(found):
    return {"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())}

trainer = Trainer(
    model_init=model_init,
    args=TrainingArguments(
        "hf", num_train_epochs=EPOCHS,
        per_device_train_batch_size=BATCH, per_device_eval_batch_size=200,
        eval_strategy="epoch", save_strategy="no", logging_strategy="epoch", report_to="none",
        lr_scheduler_type="constant", use_cpu=True, disable_tqdm=True,
    ),
    train_dataset=Rows(tokens, labels, slice(0, TRAIN)),
    eval_dataset=Rows(tokens, labels, slice(TRAIN, ALL)),
    compute_metrics=compute_metrics,
)
trainer.hyperparameter_search(
    backend="optuna", direction="maximize", n_trials=TRIALS, hp_space=hp_space,
    compute_objective=lambda metrics: metrics["eval_accuracy"],
    study_name="peers", storage="sqlite:///hf.db",
)
"""

RAY = """\
import os
FOLDER = os.getcwd()
exec(open("common.py").read())
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.search.optuna import OptunaSearch

SOURCE = open("common.py").read()

def train(config):
    scope = {"FOLDER": config["folder"]}
    exec(SOURCE, scope)
    torch.set_num_threads(1)
    tokens, labels = scope["rows"]()
    model = scope["model_of"](config["depth"])
    live = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(live, lr=config["learning_rate"])
    for epoch in range(EPOCHS):
        model.train()
        for part in torch.randperm(TRAIN).split(BATCH):
            optimizer.zero_grad()
            batch = {name: column[part] for name, column in tokens.items()}
            model(**batch, labels=labels[part]).loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            held_out = {name: column[TRAIN:ALL] for name, column in tokens.items()}
            accuracy = (model(**held_out).logits.argmax(1) == labels[TRAIN:ALL]).float().mean()
        tune.report({"accuracy": float(accuracy)})

callback = MLflowLoggerCallback(
    tracking_uri=f"sqlite:///{FOLDER}/ray.db", experiment_name="peers"
)
tune.Tuner(
    tune.with_resources(train, {"cpu": 1}),
    param_space={
        "learning_rate": tune.loguniform(1e-5, 1e-3),
        "depth": tune.choice([0, 3, 5]),
        "folder": FOLDER,
    },
    tune_config=tune.TuneConfig(
        metric="accuracy", mode="max", num_samples=TRIALS, search_alg=OptunaSearch()
    ),
    run_config=tune.RunConfig(storage_path=FOLDER + "/ray", callbacks=[callback]),
).fit()
"""
SIDES = {"workbench": "", "Hugging Face": HUGGING_FACE, "Ray Tune": RAY}


def main() -> None:
    """Run and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(rounds):
        for side in SIDES:
            with tempfile.TemporaryDirectory() as name:
                seconds[side].append(_timed(Path(name), side))
            print(f"round {number + 1}: {side} {seconds[side][-1]:.1f} s", flush=True)
    own = statistics.median(seconds["workbench"])
    print(f"{'':14}{'min':>8}{'median':>8}{'max':>8}  against Workbench")
    for side, took in seconds.items():
        middle = statistics.median(took)
        print(f"{side:14}{min(took):8.1f}{middle:8.1f}{max(took):8.1f}{middle / own:>18.2f}x")


def _write(folder: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer

    words = [f"word{number}" for number in range(400)]
    draw = random.Random(0)
    lines = ["text,label"]
    for _ in range(TRAIN + VALIDATION + TEST):
        good = draw.random() < 0.5
        pool = words[:220] if good else words[180:]
        text = " ".join(draw.choice(pool) for _ in range(draw.randint(5, LENGTH - 2)))
        lines.append(f"{text},{'good' if good else 'bad'}")
    (folder / "texts.csv").write_text("\n".join(lines) + "\n")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: number for number, word in enumerate([*special, *words])}
    BertTokenizer(vocab=vocabulary, model_max_length=64).save_pretrained(folder / "bert")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=512,
        max_position_embeddings=64,
    )
    BertForMaskedLM(config).save_pretrained(folder / "bert")


def _timed(folder: Path, side: str) -> float:
    """Seconds of a whole command, its start included."""
    _write(folder)
    if side == "workbench":
        (folder / "study.yaml").write_text(STUDY)
        (folder / "home").mkdir()
        command = [sys.executable, "-m", "workbench", "run", "study.yaml", "--home", "home"]
    else:
        (folder / "common.py").write_text(COMMON)
        (folder / "peer.py").write_text(SIDES[side])
        command = [sys.executable, "peer.py"]
    environment = {**os.environ, "WORKBENCH_DATA": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
