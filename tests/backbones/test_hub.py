"""Models of the hub and of folders: found without loading them, fetched only where allowed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants

from tests.support import tiny_bert
from workbench import backbones, downloads
from workbench.backbones import hub
from workbench.backbones.weights import WeightsError
from workbench.datasets.samples import Tensors

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's client."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def plant(cache: Path, identity: str, **files: str) -> Path:
    """A model as the hub's client keeps it."""
    kept = cache / f"models--{identity.replace('/', '--')}"
    snapshot = kept / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(COMMIT)
    for name, content in files.items():
        (snapshot / name.replace("_json", ".json")).write_text(content)
    return snapshot


TEXT = json.dumps({"model_type": "bert", "vocab_size": 30})
IMAGE = json.dumps({"model_type": "beit", "vocab_size": 30, "image_size": 224})


@pytest.mark.parametrize(
    ("name", "folder", "model"),
    [
        ("./bert", True, True),
        ("../bert", True, True),
        ("/data/bert", True, True),
        ("~/bert", True, True),
        ("google/vit-base-patch16-224", False, True),
        ("bert-base-uncased", False, True),
        ("resnet18", False, False),
        ("timm:resnet18", False, False),
        ("timm:hf_hub:a/b", False, False),
        ("a/b/c", False, False),
        ("a b/c", False, False),
    ],
)
def test_hub_ids_and_folders_are_told_apart(name: str, folder: bool, model: bool) -> None:
    assert hub.is_folder(name) is folder
    assert hub.is_model(name) is model
    entry = backbones.entry_of(name)
    assert (entry is not None and entry.hub) is model


def test_well_known_names_take_texts_wherever_they_are(cache: Path) -> None:
    for names in hub.NAMES.values():
        for name in names:
            entry = backbones.BACKBONES[name]
            assert entry.input == "text" and entry.hub and entry.arguments == {"model": name}
            assert set(entry.options or {}) == {"max_length", "tokenizer", "padding", "stages"}


def test_what_a_model_takes_is_read_from_its_configuration(cache: Path, tmp_path: Path) -> None:
    plant(cache, "nobody/reader", config_json=TEXT)
    plant(cache, "nobody/seer", config_json=IMAGE)
    plant(cache, "nobody/odd", config_json="[]")
    found = {name: backbones.entry_of(f"nobody/{name}") for name in ("reader", "seer", "odd", "no")}
    inputs = {name: entry and entry.input for name, entry in found.items()}
    assert inputs == {"reader": "text", "seer": "image", "odd": "any", "no": "any"}
    assert found["seer"] is not None and set(found["seer"].options or {}) == {"stages"}
    (tmp_path / "config.json").write_text(TEXT)
    entry = backbones.entry_of(str(tmp_path))
    assert entry is not None and entry.input == "text"


def test_a_model_that_is_not_here_yet_may_take_texts_or_images(cache: Path) -> None:
    entry = backbones.entry_of("nobody/bert")
    assert entry is not None and entry.tokenize
    with pytest.raises(ValueError, match="takes images or texts, but the samples are vectors"):
        backbones.prepare_inputs({"name": "nobody/bert"}, "vector", Tensors(torch.zeros(1, 4)))


def test_looking_a_model_up_loads_neither_transformers_nor_torch(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(TEXT)
    script = (
        "import sys\n"
        "from workbench import backbones\n"
        f"assert backbones.entry_of({str(tmp_path)!r}).input == 'text'\n"
        "assert backbones.entry_of('nobody/bert') is not None\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("kept", ["bert-base-uncased", "google-bert/bert-base-uncased"])
def test_a_short_name_is_found_under_its_owner_or_without(cache: Path, kept: str) -> None:
    snapshot = plant(cache, kept, config_json=TEXT)
    assert hub.folder_of("bert-base-uncased", hub.CONFIG) == snapshot


def test_what_is_not_here_is_not_fetched_unasked(cache: Path) -> None:
    plant(cache, "nobody/bert", config_json=TEXT)
    with pytest.raises(downloads.NotDownloadedError) as refusal:
        hub.folder_of("nobody/bert", hub.WEIGHTS)
    message = str(refusal.value)
    assert "weights of nobody/bert are not on this machine" in message
    assert "workbench run downloads" in message and "./FOLDER" in message


def test_a_folder_without_what_is_needed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing does not exist\."):
        hub.folder_of(str(tmp_path / "nothing"), hub.CONFIG)
    with pytest.raises(ValueError, match=r"no configuration of a model \(config\.json\)"):
        hub.folder_of(str(tmp_path), hub.CONFIG)
    with pytest.raises(WeightsError, match=r"has no weights: neither model\.safetensors"):
        hub.folder_of(str(tmp_path), hub.WEIGHTS)


class Server(ThreadingHTTPServer):
    """Answers for one model as the hub does, and remembers what it was asked for."""

    daemon_threads = True

    def __init__(self, identity: str, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.identity = identity
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.asked: list[str] = []
        self.newest = COMMIT

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        api = f"/api/models/{self.identity}"
        revision = path.removeprefix(f"{api}/revision/")
        if revision in ("main", COMMIT):
            commit = self.newest if revision == "main" else revision
            siblings = [{"rfilename": name} for name in self.files]
            return 200, to_json({"id": self.identity, "sha": commit, "siblings": siblings}), {}
        if path.startswith(f"{api}/tree/"):
            rows = [
                {"type": "file", "oid": etag(content), "size": len(content), "path": name}
                for name, content in self.files.items()
            ]
            return 200, to_json(rows), {}
        name = path.removeprefix(f"/{self.identity}/resolve/{COMMIT}/")
        if name in self.files:
            self.asked.append(name)
            content = self.files[name]
            return 200, content, {"ETag": f'"{etag(content)}"', "X-Repo-Commit": COMMIT}
        return 404, b"{}", {"X-Error-Code": "RepoNotFound"}


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        status, content, headers = server.answer(self.path.split("?")[0])
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *args: object) -> None:
        """Quietly."""


def to_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@pytest.fixture
def server(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    folder = tiny_bert.save(tmp_path / "bert")
    (folder / "model.onnx").write_bytes(b"large, and of no use")
    found = Server("google-bert/bert-base-uncased", folder)
    thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{found.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


def test_only_what_is_needed_is_fetched_and_only_once(server: Server, cache: Path) -> None:
    with downloads.allowed():
        folder = hub.folder_of("bert-base-uncased", hub.CONFIG)
        assert set(server.asked) == {"config.json"}
        assert hub.folder_of("bert-base-uncased", hub.TOKENIZER) == folder
        assert "model.safetensors" not in server.asked
        hub.folder_of("bert-base-uncased", hub.WEIGHTS)
    assert set(server.asked) == set(server.files) - {"model.onnx"}
    server.asked.clear()
    assert hub.folder_of("bert-base-uncased", hub.WEIGHTS) == folder
    assert folder.is_relative_to(cache)
    assert server.asked == []


def test_all_of_a_model_is_fetched_of_the_commit_that_is_here(server: Server) -> None:
    with downloads.allowed():
        folder = hub.folder_of("bert-base-uncased", hub.CONFIG)
        server.newest = "f" * 40
        assert hub.folder_of("bert-base-uncased", hub.TOKENIZER) == folder
        assert hub.folder_of("bert-base-uncased", hub.WEIGHTS) == folder
    assert hub.identity("bert-base-uncased") == {"hub:google-bert/bert-base-uncased": COMMIT}


def test_a_model_that_the_hub_does_not_have_is_refused(server: Server) -> None:
    with (
        downloads.allowed(),
        pytest.raises(
            downloads.NotDownloadedError, match=r"hub has no model nobody/bert, or it is private"
        ),
    ):
        hub.folder_of("nobody/bert", hub.CONFIG)


def test_a_model_without_weights_that_can_be_used_is_refused(server: Server) -> None:
    server.files["flax_model.msgpack"] = server.files.pop("model.safetensors")
    with (
        downloads.allowed(),
        pytest.raises(downloads.NotDownloadedError, match=r"has no usable weights: none of model"),
    ):
        hub.folder_of("bert-base-uncased", hub.WEIGHTS)


def test_without_a_connection_it_says_so(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing listens at the port of "discard".
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with (
        downloads.allowed(),
        pytest.raises(
            downloads.NotDownloadedError, match=r"google-bert/bert-base-uncased could not be down"
        ),
    ):
        hub.folder_of("bert-base-uncased", hub.CONFIG)
