"""Pushing to the Hugging Face Hub, against a stand-in for it on this machine."""

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from rexnet_ai_real.export import __main__ as export
from rexnet_ai_real.export import hub
from rexnet_ai_real.export.hub import NotPushed


@dataclass
class Hub:
    """What the stand-in was sent, and how it answers."""

    address: str = ""
    status: int = 200
    tokens: set[str] = field(default_factory=set)
    created: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def api(self) -> HfApi:
        return HfApi(endpoint=self.address, token="hf_stand_in")


@pytest.fixture
def stand_in() -> Iterator[Hub]:
    """The part of the Hub's interface that an upload of small files uses."""
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.tokens.add(self.headers["Authorization"])
            if state.status != 200:
                return self.answer({"error": "no"}, state.status)
            if self.path == "/api/repos/create":
                state.created.append(json.loads(body))
                return self.answer({"url": f"{state.address}/someone/detector", "id": "someone/detector"})
            if self.path.endswith("/preupload/main"):
                paths = [entry["path"] for entry in json.loads(body)["files"]]
                modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]
                return self.answer({"files": modes})
            if self.path == "/api/validate-yaml":
                return self.answer({"errors": [], "warnings": []})
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    state.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer({"commitUrl": f"{state.address}/someone/detector/commit/1", "commitOid": "1" * 40})

        def do_GET(self) -> None:
            self.answer({"id": "someone/detector", "sha": "0" * 40, "siblings": []}, state.status)

        def answer(self, content: dict[str, Any], status: int = 200) -> None:
            sent = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def detector_folder(tmp_path: Path) -> Path:
    (tmp_path / "openvino").mkdir()
    (tmp_path / "README.md").write_text("---\nlibrary_name: rexnet-ai-real\n---\n")
    (tmp_path / "openvino" / "model.bin").write_bytes(bytes(range(256)))
    return tmp_path


@pytest.mark.parametrize("private", [True, False])
def test_the_whole_folder_arrives(stand_in: Hub, detector_folder: Path, private: bool) -> None:
    address = hub.push(detector_folder, "someone/detector", private=private, api=stand_in.api)
    assert address == f"{stand_in.address}/someone/detector"
    assert stand_in.files["openvino/model.bin"] == bytes(range(256))
    assert stand_in.files["README.md"] == (detector_folder / "README.md").read_bytes()
    (created,) = stand_in.created
    assert (created["organization"], created["name"]) == ("someone", "detector")
    assert created.get("visibility", created.get("private")) in (("private", True) if private else ("public", False))
    assert stand_in.tokens == {"Bearer hf_stand_in"}


@pytest.mark.parametrize(
    ("status", "words"), [(401, "token is not valid"), (403, "no right to write"), (404, "no such owner")]
)
def test_a_refusal_is_explained(stand_in: Hub, detector_folder: Path, status: int, words: str) -> None:
    stand_in.status = status
    with pytest.raises(NotPushed, match=rf"{words}.*is complete; .*hf upload someone/detector"):
        hub.push(detector_folder, "someone/detector", private=False, api=stand_in.api)


def test_a_name_that_is_none_is_explained(stand_in: Hub, detector_folder: Path) -> None:
    with pytest.raises(NotPushed, match=r"expected OWNER/NAME"):
        hub.push(detector_folder, "some one//detector", private=False, api=stand_in.api)


def test_no_connection_is_explained(detector_folder: Path) -> None:
    nowhere = HfApi(endpoint="http://127.0.0.1:9", token="hf_stand_in")
    with pytest.raises(NotPushed, match=r"was not reached"):
        hub.push(detector_folder, "someone/detector", private=False, api=nowhere)


def test_without_a_token_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub, "get_token", lambda: None)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "detector.json").touch()  # to read it would fail
    arguments = [str(tmp_path / "model"), str(tmp_path / "out"), "--push-to-hub", "someone/detector"]
    assert export.main(arguments) == 2
    assert "not logged in" in capsys.readouterr().err
