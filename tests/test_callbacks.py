"""What a run keeps: a history that survives resuming, and a dashboard that holds what was measured."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.plugins.hparams.backend_context import Context
from torch.utils.data import DataLoader, TensorDataset

from rexnet_ai_real.config import (
    AugmentConfig,
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
    preprocessing_of,
    to_plain,
)
from rexnet_ai_real.train.callbacks import History, history_columns
from rexnet_ai_real.train.classifier import Classifier
from rexnet_ai_real.train.dashboard import (
    BestSoFar,
    Dashboard,
    TensorBoardImages,
    log_figures,
    log_result,
    settings_that_matter,
)
from rexnet_ai_real.train.figures import confusion
from rexnet_ai_real.train.schedule import learning_rate_factor

PREPROCESSING = preprocessing_of(DataConfig(name="synthetic", image_size=32))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def batches(count: int, seed: int) -> DataLoader[Any]:
    """Images whose class lies in their brightness, four a batch."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    images = torch.randn(count, 3, 32, 32, generator=generator) + labels[:, None, None, None]
    return DataLoader(TensorDataset(images, labels, torch.arange(count)), batch_size=4)


TRAIN, VAL = batches(12, 0), batches(10, 1)


def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier(
        model=to_plain(ModelConfig(name="rexnet_100", width=0.25)),
        optimizer=to_plain(OptimizerConfig("SGD", lr=1e-4, options={"momentum": 0.9, "nesterov": True})),
        schedule=to_plain(ScheduleConfig()),
        preprocessing=PREPROCESSING.to_plain(),
    )


def trainer(*callbacks: L.Callback, epochs: int = 2, **options: Any) -> L.Trainer:
    return L.Trainer(
        **{
            "accelerator": "cpu",
            "max_epochs": epochs,
            "callbacks": list(callbacks),
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
            "log_every_n_steps": 1,
            **options,
        }
    )


def fit(model: Classifier, *callbacks: L.Callback, checkpoint: Path | None = None, **options: Any) -> L.Trainer:
    fitted = trainer(*callbacks, **options)
    fitted.fit(model, TRAIN, VAL, ckpt_path=checkpoint, weights_only=True)
    return fitted


pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),  # Lightning 2.6 on PyTorch 2.15
]


def test_a_row_holds_what_independent_code_measures(tmp_path: Path) -> None:
    history, model = History(tmp_path / "history.csv"), classifier()
    fit(model, history, num_sanity_val_steps=1)
    table = pd.read_csv(tmp_path / "history.csv")
    assert tuple(table.columns) == history_columns()
    images, truth, _ = VAL.dataset[:]
    labels = truth.numpy()
    with torch.no_grad():
        probability = model.network.eval()(images).softmax(dim=1)[:, 1].numpy()
    last = table.iloc[-1]
    assert last["val_loss"] == pytest.approx(log_loss(labels, probability), rel=1e-4)
    assert last["val_accuracy"] == pytest.approx(accuracy_score(labels, probability > 0.5))
    assert last["val_f1"] == pytest.approx(f1_score(labels, probability > 0.5))
    assert last["val_auroc"] == pytest.approx(roc_auc_score(labels, probability))
    schedule = [1e-4 * learning_rate_factor(step, 6, ScheduleConfig()) for step in range(6)]
    assert table["lr"].tolist() == pytest.approx([schedule[2], schedule[5]])
    assert (table["seconds"] > 0).all()
    assert (table["images_per_second"] * table["seconds"] >= 12 * 0.99).all()  # training is a part of the epoch


def test_a_resumed_run_has_the_whole_history_once(tmp_path: Path) -> None:
    first, resumed = History(tmp_path / "first.csv"), History(tmp_path / "second.csv")
    for history, checkpoint, epochs in ((first, None, 2), (resumed, tmp_path / "checkpoints" / "last.ckpt", 4)):
        last = ModelCheckpoint(tmp_path / "checkpoints", "last", enable_version_counter=False)
        fit(classifier(), history, last, checkpoint=checkpoint, epochs=epochs)
    assert [row["epoch"] for row in resumed.rows] == [1, 2, 3, 4]
    assert resumed.rows[:2] == first.rows
    with (tmp_path / "second.csv").open(newline="") as file:
        written = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert written == resumed.rows


def test_rows_newer_than_the_checkpoint_are_forgotten(tmp_path: Path) -> None:
    history = History(tmp_path / "history.csv")
    history.rows = [{**dict.fromkeys(history_columns(), 0.0), "epoch": epoch} for epoch in (1, 2)]
    saved = history.state_dict()
    history.rows.append({**dict.fromkeys(history_columns(), 0.0), "epoch": 3})
    history.load_state_dict(saved)
    assert [row["epoch"] for row in history.rows] == [1, 2]


def test_the_best_epoch_is_the_first_with_the_lowest_validation_loss(tmp_path: Path) -> None:
    history = History(tmp_path / "history.csv")
    assert history.best_epoch is None
    losses = [float("nan"), 0.5, 0.3, 0.3, 0.4]
    history.rows = [{"epoch": epoch, "val_loss": loss} for epoch, loss in enumerate(losses, start=1)]
    assert history.best_epoch == 3


def test_a_dry_run_and_a_run_without_tensorboard_write_nothing(tmp_path: Path) -> None:
    logger = Dashboard(tmp_path / "board")
    for options in ({"fast_dev_run": True, "logger": logger}, {"limit_train_batches": 0}):
        fit(classifier(), History(tmp_path / "history.csv"), TensorBoardImages(), **options)
    log_figures(None, {"confusion": confusion([0, 1], [0.1, 0.9], part="test")}, 0)
    log_result(None, TrainConfig(data=DataConfig(name="synthetic")), {})
    assert list(tmp_path.iterdir()) == []


def test_watching_changes_no_number_of_the_run(tmp_path: Path) -> None:
    logger = Dashboard(tmp_path)
    plain = classifier()
    fit(plain)
    watched = classifier()
    fit(watched, History(tmp_path / "history.csv"), TensorBoardImages(), logger=logger)
    for old, new in zip(plain.state_dict().values(), watched.state_dict().values(), strict=True):
        assert torch.equal(old, new)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Classifier]:
    """The dashboard of a run of two epochs, figures and settings included; validation gets worse after the first."""
    folder, model = tmp_path_factory.mktemp("board"), classifier()
    logger, history = Dashboard(folder), History(folder / "history.csv")
    fit(model, history, BestSoFar(history), TensorBoardImages(), logger=logger, num_sanity_val_steps=1)
    parts = {
        part: {"loss": 0.5, "accuracy": 0.8, "f1": 0.75, "auroc": None, "n": 10} for part in ("train", "val", "test")
    }
    log_figures(logger, {"confusion": confusion([0, 1], [0.1, 0.9], part="test")}, epoch=2)
    log_result(logger, config(), {**parts, "epochs": 2, "best_epoch": 1})
    return folder, model


def events_in(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0, "images": 0})
    events.Reload()
    return events


def config() -> TrainConfig:
    return TrainConfig(
        name="baseline",
        data=DataConfig(name="kaggle", fold=2),
        model=ModelConfig(name="rexnet_150", weights="/somewhere/rexnet_150.safetensors"),
        augment=AugmentConfig(flip=0.5, rotation=10.0),
    )


CHARTS = ["epoch/accuracy", "epoch/auroc", "epoch/f1", "epoch/loss"]


def test_one_chart_a_metric_shows_whether_a_run_learns_and_whether_it_overfits(board: tuple[Path, Classifier]) -> None:
    folder, _ = board
    history = pd.read_csv(folder / "history.csv")
    curves = {part: events_in(folder / part) for part in ("train", "val", "val_best")}
    for part, events in curves.items():  # runs that share a tag share a chart
        assert sorted(tag for tag in events.Tags()["scalars"] if tag.startswith("epoch/")) == CHARTS
        for name in ("loss", "accuracy", "f1", "auroc"):
            points = events.Scalars(f"epoch/{name}")
            assert [point.step for point in points] == [1, 2]  # epochs count from 1
            values = [point.value for point in points]
            if part == "val_best":
                kept = history.loc[[history["val_loss"][: epoch + 1].idxmin() for epoch in range(2)], f"val_{name}"]
                assert values == pytest.approx(kept.tolist())
            else:
                assert values == pytest.approx(history[f"{part}_{name}"].tolist())


def test_loss_and_rate_are_shown_step_by_step_and_the_rate_once(board: tuple[Path, Classifier]) -> None:
    folder, _ = board
    by_step = events_in(folder / "train")
    assert [tag for tag in by_step.Tags()["scalars"] if not tag.startswith("epoch/")] == ["step/loss", "step/lr"]
    assert len(by_step.Scalars("step/loss")) == 6
    rates = [1e-4 * learning_rate_factor(step, 6, ScheduleConfig()) for step in range(6)]
    assert [point.value for point in by_step.Scalars("step/lr")] == pytest.approx(rates)


def test_no_chart_has_a_single_point(board: tuple[Path, Classifier]) -> None:
    folder, _ = board
    for events in map(events_in, {file.parent for file in folder.rglob("events.out.*")}):
        for tag in events.Tags()["scalars"]:
            assert len(events.Scalars(tag)) > 1, tag


def test_the_dashboard_has_images_the_graph_and_the_result_in_words(board: tuple[Path, Classifier]) -> None:
    events = events_in(board[0])
    tags = events.Tags()
    assert {"images/training_batch", "figures/confusion"} == set(tags["images"])
    assert tags["scalars"] == []
    assert tags["graph"]
    assert any("LinearBottleneck" in node.name for node in events.Graph().node)
    text = events.Tensors("result/text_summary")[-1].tensor_proto.string_val[0].decode()
    assert "epoch 1 of 2, by validation loss" in text
    assert "| test | 0.5000 | 80.0% | 0.750 | – | 10 |" in text


def test_the_precision_recall_curve_counts_the_validation_images(board: tuple[Path, Classifier]) -> None:
    events, model = events_in(board[0]), board[1]
    curves = events.Tensors("val/precision_recall")
    assert len(curves) == 2  # one an epoch; the check before training shows nothing
    counts = np.array(curves[-1].tensor_proto.float_val or np.frombuffer(curves[-1].tensor_proto.tensor_content, "f4"))
    true_positive, false_positive, true_negative, false_negative = counts.reshape(6, -1)[:4]
    images, labels, _ = VAL.dataset[:]
    with torch.no_grad():
        probability = model.network.eval()(images).softmax(dim=1)[:, 1].numpy()
    thresholds = np.linspace(0, 1, len(true_positive))
    for i in range(1, len(thresholds) - 1, 9):
        predicted, truth = probability >= thresholds[i], labels.numpy() == 1
        assert true_positive[i] == (predicted & truth).sum()
        assert false_positive[i] == (predicted & ~truth).sum()
        assert true_negative[i] == (~predicted & ~truth).sum()
        assert false_negative[i] == (~predicted & truth).sum()


def test_the_table_of_settings_opens_on_patience_and_on_validation(board: tuple[Path, Classifier]) -> None:
    """Read by TensorBoard's own plugin, which shows the first five settings and the first five metrics."""
    folder, _ = board
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    plugin = Context(TBContext(data_provider=provider))
    metadata = plugin.hparams_metadata(RequestContext(), "")
    table = plugin.experiment_from_metadata(RequestContext(), "", True, metadata, [])
    settings = [info.name for info in table.hparam_infos]
    assert set(settings) == set(settings_that_matter(config()))
    assert settings[:5] == ["batch_size", "dropout", "lr", "max_epochs", "patience"]
    assert [(info.name.group, info.name.tag) for info in table.metric_infos] == [("", tag) for tag in CHARTS]
    assert list(metadata) == ["val_best"]  # whose curves they are


def test_the_settings_of_a_run_are_stored_as_they_are(board: tuple[Path, Classifier]) -> None:
    events = events_in(board[0] / "val_best")
    stored = {}
    for tag, metadata in events.summary_metadata.items():
        if metadata.plugin_data.plugin_name == "hparams":
            stored[tag] = plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content)
    (started,) = (data.session_start_info for tag, data in stored.items() if "session_start" in tag)
    values = {name: getattr(v, str(v.WhichOneof("kind"))) for name, v in started.hparams.items()}
    assert values == settings_that_matter(config())
    assert values["what/weights"] == "rexnet_150.safetensors"
    assert values["what/fold"] == "2"
    assert values["what/augment"] == "flip 0.5, rotation 10"
    assert "hp_metric" not in events.Tags()["scalars"]


def test_settings_have_one_type_whatever_their_value() -> None:
    bare = TrainConfig(data=DataConfig(name="synthetic"), model=ModelConfig(name="rexnet_100"))
    for (name, one), other in zip(
        settings_that_matter(config()).items(), settings_that_matter(bare).values(), strict=True
    ):
        assert type(one) is type(other), name
