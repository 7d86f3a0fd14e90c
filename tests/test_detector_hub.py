"""A detector by its name on the Hugging Face Hub, against a stand-in for it on this machine."""

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from huggingface_hub import HfApi
from PIL import Image

from rexnet_ai_real import Detector
from rexnet_ai_real.detector import hub
from rexnet_ai_real.detector.storage import StoredDetector, write_detector
from rexnet_ai_real.errors import UserError
from rexnet_ai_real.export.source import ExportSource
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.models.factory import build
from rexnet_ai_real.predict.__main__ import main as predict
from rexnet_ai_real.runs.identify import NotADetector

NAME = "someone/detector"
NOBODY = 9
"""A port where nobody answers."""
ARCHITECTURE: dict[str, Any] = {"name": "rexnet_100", "width": 0.25}
PREPROCESSING = Preprocessing(32, "squash", "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@dataclass
class Hub:
    """One repository: commit -> files, branch -> commit; and what was asked for."""

    commits: dict[str, Path] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    """In place of the true ones."""

    @property
    def fetched(self) -> set[str]:
        """Files whose content was sent."""
        return {path.rpartition("/")[2] for path in self.asked if path.startswith(f"GET /{NAME}/resolve")}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two saved detectors, first/ and second/."""
    folder = tmp_path_factory.mktemp("both")
    for number, name in enumerate(("first", "second"), start=1):
        network = build(**ARCHITECTURE)
        stored = StoredDetector.of([network.state_dict()], ARCHITECTURE, PREPROCESSING, {"name": f"number {number}"})
        write_detector(folder / name, stored)
        (folder / name / "photo.psd").write_bytes(bytes(1000))
    return folder


def reach(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Let the client talk to this machine instead of the Hub."""
    monkeypatch.setattr("huggingface_hub.HfApi", partial(HfApi, endpoint=f"http://127.0.0.1:{port}"))


@pytest.fixture
def stand_in(both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The part of the Hub's interface that a download of small files uses, and an empty cache."""
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.respond()

        def do_GET(self) -> None:
            self.respond()

        def respond(self) -> None:
            path = unquote(urlsplit(self.path).path)
            state.asked.append(f"{self.command} {path}")
            parts = path.strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                name, revision = "/".join(parts[2:4]), "/".join(parts[5:]) or "main"
            else:
                name, revision = "/".join(parts[:2]), parts[3]
            commit = state.branches.get(revision, revision)
            if name != NAME:
                return self.send(b"", 401, "X-Error-Code: RepoNotFound")
            if commit not in state.commits:
                return self.send(b"", 404, "X-Error-Code: RevisionNotFound")
            folder = state.commits[commit]
            if parts[0] == "api":
                files = [file for file in folder.iterdir() if file.is_file()]
                siblings = [
                    {"rfilename": file.name, "size": state.sizes.get(file.name, file.stat().st_size)} for file in files
                ]
                return self.send(json.dumps({"id": NAME, "sha": commit, "siblings": siblings}).encode(), 200)
            content = (folder / parts[-1]).read_bytes()
            etag = hashlib.sha256(content).hexdigest()
            self.send(content, 200, f"X-Repo-Commit: {commit}", f'ETag: "{etag}"')

        def send(self, content: bytes, status: int, *headers: str) -> None:
            self.send_response(status)
            for header in headers:
                self.send_header(*header.split(": ", 1))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    reach(monkeypatch, server.server_port)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.chdir(tmp_path)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    shutil.copytree(both, tmp_path, dirs_exist_ok=True)
    state.commits = {"1" * 40: tmp_path / "first", "2" * 40: tmp_path / "second"}
    state.branches = {"main": "1" * 40, "next": "2" * 40}
    yield state
    server.shutdown()
    server.server_close()


def test_a_name_on_the_hub_is_a_detector_whose_commit_is_said(stand_in: Hub) -> None:
    found = Detector.load(NAME)
    assert found.origin == f"{NAME}@{'1' * 40}"
    assert found.fingerprint == Detector.load("first").fingerprint
    assert stand_in.fetched == {"detector.json", "model.safetensors"}  # and not what else lies there
    assert Detector.load("first").origin is None
    assert found.with_calibration(found.calibration).origin == found.origin


@pytest.mark.parametrize("revision", ["next", "2" * 40])
def test_a_revision_is_pinned(stand_in: Hub, revision: str) -> None:
    found = Detector.load(f"{NAME}@{revision}")
    assert found.origin == f"{NAME}@{'2' * 40}"
    assert found.description.training == {"name": "number 2"}


def test_a_branch_that_moves_on_is_followed_and_a_commit_is_not(stand_in: Hub) -> None:
    assert Detector.load(NAME).description.training == {"name": "number 1"}
    stand_in.branches["main"] = "2" * 40
    assert Detector.load(NAME).description.training == {"name": "number 2"}
    assert Detector.load(f"{NAME}@{'1' * 40}").description.training == {"name": "number 1"}


def test_predict_takes_a_name_and_says_the_commit(stand_in: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save("a.png")
    assert predict([NAME, "a.png", "--format", "csv"]) == 0
    said = capsys.readouterr()
    assert f"Detector: {NAME}@{'1' * 40}\n" in said.err
    assert "a.png" in said.out


def test_export_takes_a_name(stand_in: Hub) -> None:
    assert ExportSource.open(Path(NAME)).stored.description.fingerprint == Detector.load("first").fingerprint


def test_weights_of_another_detector_are_refused(stand_in: Hub) -> None:
    shutil.copy("second/model.safetensors", "first/model.safetensors")
    with pytest.raises(NotADetector, match="do not belong together"):
        Detector.load(NAME)


def test_what_is_here_wins(stand_in: Hub, tmp_path: Path) -> None:
    shutil.copytree("second", tmp_path / "someone" / "detector")
    found = Detector.load(NAME)
    assert (found.origin, found.description.training) == (None, {"name": "number 2"})
    with pytest.raises(NotADetector, match="someone/detecter does not exist: expected"):
        Detector.load("someone/detecter")  # a slip of the finger in a path is sent nowhere
    with pytest.raises(NotADetector, match="does not exist: expected"):
        Detector.load("elsewhere/best.ckpt")
    assert stand_in.asked == []


def test_without_a_network_the_copy_in_the_cache_is_taken(
    stand_in: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Detector.load(NAME)
    Detector.load(f"{NAME}@next")
    reach(monkeypatch, NOBODY)
    for name, commit in ((NAME, "1"), (f"{NAME}@main", "1"), (f"{NAME}@next", "2")):
        caplog.clear()
        assert Detector.load(name).origin == f"{NAME}@{commit * 40}"
        assert "The Hub was not reached: the copy of someone/detector in the cache is used" in caplog.text
    caplog.clear()
    assert Detector.load(f"{NAME}@{'1' * 40}").origin == f"{NAME}@{'1' * 40}"
    assert caplog.text == ""  # a commit that is here needs no network


def test_without_network_and_copy_it_is_one_sentence(stand_in: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    reach(monkeypatch, NOBODY)
    with pytest.raises(
        NotADetector,
        match=r"^someone/detector does not exist here.*the Hub was not reached, and no copy is in the cache",
    ):
        Detector.load(NAME)


@pytest.mark.parametrize("name", [NAME, f"{NAME}@{'1' * 40}"])
def test_a_copy_with_a_part_missing_is_none(stand_in: Hub, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hub.locate(NAME, "torch").path
    (folder / "openvino").mkdir()
    (folder / "openvino" / "model.xml").touch()  # and no model.bin
    reach(monkeypatch, NOBODY)
    with pytest.raises(NotADetector, match="the Hub was not reached, and no copy is in the cache that can run here"):
        hub.locate(name, "openvino")
    (folder / "openvino" / "model.bin").touch()
    assert hub.locate(name, "openvino").path == folder


def test_sizes_of_another_commit_than_the_one_downloaded_are_not_trusted(
    stand_in: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = HfApi.model_info

    def then_moves_on(*arguments: Any, **options: Any) -> Any:
        info = asked(*arguments, **options)
        stand_in.branches["main"] = "2" * 40
        return info

    monkeypatch.setattr(HfApi, "model_info", then_moves_on)
    with pytest.raises(NotADetector, match="changed on the Hub at this moment: give the command again"):
        hub.locate(NAME, "torch")
    assert stand_in.fetched == {"detector.json"}


def test_the_hubs_own_offline_mode_is_kept(stand_in: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    Detector.load(NAME)
    asked = len(stand_in.asked)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert Detector.load(NAME).origin == f"{NAME}@{'1' * 40}"
    assert len(stand_in.asked) == asked


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("someone/else", "there is no such repository, or it is private"),
        (f"{NAME}@yesterday", "the repository has no such revision: give a branch, a tag or a commit"),
        ("some--one/detector", "this is no name of a repository: expected OWNER/NAME"),
    ],
)
def test_what_the_hub_does_not_have_is_one_sentence(stand_in: Hub, name: str, words: str) -> None:
    with pytest.raises(NotADetector, match=f"^{name} does not exist here, and cannot be had from the Hub: {words}"):
        Detector.load(name)


def test_a_repository_of_something_else_is_not_downloaded(stand_in: Hub) -> None:
    Path("first/detector.json").unlink()
    with pytest.raises(NotADetector, match=r"has no detector\.json: it is no detector of this program"):
        Detector.load(NAME)
    assert stand_in.fetched == set()


@pytest.mark.parametrize(("file", "size"), [("detector.json", 2 << 20), ("model.safetensors", 5 << 30)])
def test_files_without_bounds_are_not_downloaded(stand_in: Hub, file: str, size: int) -> None:
    stand_in.sizes[file] = size
    with pytest.raises(NotADetector, match=f"{file} has {size:,} bytes; at most"):
        Detector.load(NAME)
    assert stand_in.fetched == set()


def test_only_the_files_of_the_backend_are_downloaded(stand_in: Hub) -> None:
    Path("first/model.onnx").write_bytes(b"no graph")
    assert hub.locate(NAME, "torch").path.name == "1" * 40
    assert stand_in.fetched == {"detector.json", "model.safetensors"}
    assert (hub.locate(NAME, "auto").path / "model.onnx").is_file()


def test_without_the_client_the_package_to_install_is_named(stand_in: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"to look on the Hugging Face Hub: pip install 'rexnet-ai-real\[hub\]'"):
        Detector.load(NAME)
