"""Explanations tested: the audit finds planted evidence, and says so where heat maps are no better than a guess."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms.v2.functional import gaussian_blur

from rexnet_ai_real.detector.description import UNCALIBRATED, Description
from rexnet_ai_real.detector.detector import Detector
from rexnet_ai_real.detector.engines.torch_engine import TorchEngine
from rexnet_ai_real.evaluate.audits.explanations import ExplanationAudit, evaluate_explanations
from rexnet_ai_real.evaluate.audits.heat_probe import (
    DIRECTIONS,
    ORDERS,
    heat_of,
    random_weights,
    rank_correlation,
    shown_method,
)
from rexnet_ai_real.evaluate.audits.regions import (
    Regions,
    blurred,
    class_probabilities,
    networks_of,
    ordered,
    predicted_classes,
)
from rexnet_ai_real.evaluate.report.explanation_figures import curves_figure, examples_figure
from rexnet_ai_real.figures import pixels
from rexnet_ai_real.images.preprocessing import Preprocessing
from rexnet_ai_real.labels import AI, REAL
from rexnet_ai_real.metrics.bootstrap import Estimate
from rexnet_ai_real.models import ReXNet

GRID, CELL = 7, 8
SIDE = GRID * CELL
CHECKER = torch.tensor([[(-1.0) ** (row + column) for column in range(CELL)] for row in range(CELL)])
CORNER = [(0, 0), (0, 1), (1, 0), (1, 1)]
MIDDLE = [(3, 3), (3, 2), (3, 4), (2, 3), (4, 3)]
EVERYWHERE = [(row, column) for row in range(GRID) for column in range(GRID)]


class Weighting(nn.Module):
    """How much each spatial position counts."""

    def __init__(self, positions: Sequence[tuple[int, int]], learned: bool) -> None:  # noqa: D107
        super().__init__()
        weight = torch.zeros(GRID, GRID)
        for position in positions:
            weight[position] = 1 / len(positions)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.learned = learned

    def reset_parameters(self) -> None:
        if self.learned:
            nn.init.uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class CheckersAt(nn.Module):
    """Logit of AI: +4 for a fine chequered pattern in the given cells, -4 for none; all other cells are ignored."""

    num_features = 1

    def __init__(self, positions: Sequence[tuple[int, int]], *, learned: bool = True) -> None:  # noqa: D107
        super().__init__()
        self.filter = nn.Conv2d(3, 1, CELL, stride=CELL, bias=False)
        self.weighting = Weighting(positions, learned)
        self.offset = 2.0
        with torch.no_grad():
            self.filter.weight.copy_(CHECKER.expand(1, 3, CELL, CELL) / (3 * CELL**2))

    def forward_features(self, x: Tensor) -> Tensor:
        features: Tensor = self.weighting(self.filter(x).abs())
        return features

    def forward(self, x: Tensor) -> Tensor:
        evidence = 4 * self.forward_features(x).sum((2, 3)) - self.offset
        return torch.cat([-evidence, evidence], dim=1)


def chequered(count: int = 24, seed: int = 0) -> Tensor:
    """Noise under the pattern, which lies everywhere."""
    noise = torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    return CHECKER.repeat(GRID, GRID) + 0.1 * noise


def detector_of(*networks: nn.Module, temperature: float = 1.0) -> Detector:
    calibration = replace(UNCALIBRATED, temperature=temperature)
    preprocessing = Preprocessing(SIDE, "squash", "bilinear", (0.5,) * 3, (0.5,) * 3)
    description = Description({}, len(networks), preprocessing, calibration, {}, "")
    return Detector(TorchEngine.of(networks, preprocessing, "cpu", "32-true"), description)


def audit(
    network: nn.Module, images: Tensor | None = None, groups: Sequence[int] | Sequence[str] | None = None
) -> ExplanationAudit:
    images = chequered() if images is None else images
    return evaluate_explanations(
        iter(images),
        groups or list(range(len(images))),
        detector_of(network),
        grid=GRID,
        batch_size=10,
        resamples=300,
        progress=False,
    )


@pytest.fixture(scope="module")
def corner() -> ExplanationAudit:
    return audit(CheckersAt(CORNER))


def test_heat_on_planted_evidence_beats_both_priors(corner: ExplanationAudit) -> None:
    assert corner.beats("random")
    assert corner.beats("centre")
    assert corner.depends_on_weights
    assert corner.finding.startswith("The heat maps find what the detector uses")
    # Four of 49 cells decide: one step along the heat leaves nothing, four steps from the centre all.
    heat, centre = corner.curve("deletion", "heat").mean, corner.curve("deletion", "centre").mean
    assert heat[1] < 0.1 < 0.9 < centre[4]
    assert corner.effect.value == pytest.approx(1 / (1 + math.exp(-4)) - 1 / (1 + math.exp(4)), abs=0.02)


def test_evidence_in_the_middle_is_no_better_than_the_centre_prior() -> None:
    middle = audit(CheckersAt(MIDDLE))
    assert middle.beats("random")
    assert not middle.beats("centre")
    assert "not shown to beat order from the centre: do not read them" in middle.finding


def test_what_is_tested_is_what_explain_shows() -> None:
    """The exact map, by the engine that `explain` asks, for the class that the threshold gives."""
    torch.manual_seed(0)
    network = ReXNet(width=0.25, num_classes=2).eval()
    detector = detector_of(network)
    photos = np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8)
    images = networks_of(detector).normalised(photos)
    median = float(np.median(detector.calibration.probabilities(networks_of(detector).logits(photos))))
    band = replace(UNCALIBRATED, threshold=median, unsure_low=median, unsure_high=median)
    detector = detector.with_calibration(band)
    assert shown_method(networks_of(detector)) == "cam"
    logits, maps = networks_of(detector).logits_and_maps(photos)
    targets = (detector.calibration.probabilities(logits) >= median).astype(np.int64)
    assert set(targets) == {AI, REAL}
    assert (predicted_classes(detector, images) == targets).all()
    heat = np.maximum(np.where(targets[:, None, None] == AI, maps, -maps), 0)
    shown = functional.interpolate(torch.from_numpy(heat)[:, None], size=SIDE, mode="bilinear")[:, 0].numpy()
    tested = heat_of(networks_of(detector), images, targets, "cam")
    np.testing.assert_allclose(tested / tested.max(), shown / shown.max(), atol=1e-5)
    found = evaluate_explanations(images, range(6), detector, grid=2, resamples=20, steps=2, progress=False)
    assert found.method == "cam"
    assert shown_method(networks_of(detector_of(CheckersAt(CORNER)))) == "gradcam"  # no linear layer: no exact map


@pytest.mark.parametrize(("share", "word"), [(0.05, "slightly"), (0.19, "moderately"), (0.5, "much")])
def test_the_words_fit_the_size_of_the_effect(corner: ExplanationAudit, share: float, word: str) -> None:
    """+0.034 of a possible 0.175 is a fifth, and is said to be one."""
    effect = Estimate(0.175, 0.15, 0.2)
    gain = Estimate(share * 0.175, 0.001, 0.2)
    curves = tuple(replace(each, advantage=gain if each.advantage else None) for each in corner.curves)
    found = replace(corner, effect=effect, curves=curves).finding
    assert f"find what the detector uses {word} better than a guess: by at least {share:.0%} of what is" in found
    nothing = replace(corner, effect=Estimate(0.01, -0.02, 0.04), curves=curves)
    assert "cannot be told: blurring whole images changes no verdict" in nothing.finding


def test_a_network_that_ignores_position_is_found_out() -> None:
    # Without noise, so that the heat is the same everywhere.
    everywhere = audit(CheckersAt(EVERYWHERE), CHECKER.repeat(GRID, GRID).expand(24, 3, SIDE, SIDE))
    assert not everywhere.beats("random")
    assert not everywhere.beats("centre")
    assert "not shown to beat random order or order from the centre" in everywhere.finding


def test_maps_that_random_weights_give_too_are_found_out() -> None:
    fixed = audit(CheckersAt(CORNER, learned=False))  # the position is built in, so that any weights point at it
    assert fixed.beats("random")
    assert fixed.similarity.value > 0.9
    assert not fixed.depends_on_weights
    assert "not shown to differ from those of random weights" in fixed.finding


def test_areas_and_advantages_follow_from_the_curves(corner: ExplanationAudit) -> None:
    for direction in DIRECTIONS:
        areas = [sklearn.metrics.auc(corner.shares, corner.curve(direction, order).mean) for order in ORDERS]
        sign = -1 if direction == "deletion" else 1
        for order, area in zip(ORDERS, areas, strict=True):
            each = corner.curve(direction, order)
            assert each.area.value == pytest.approx(area)
            assert each.area.low <= each.area.value <= each.area.high
            if each.advantage is None:
                assert order == "heat"
            else:
                assert each.advantage.value == pytest.approx(sign * (areas[0] - area))


def test_intervals_are_those_of_scipy() -> None:
    network, images = CheckersAt(CORNER), chequered(40)
    strength = torch.linspace(0.6, 1.4, 40)[:, None, None, None]
    images = images * strength
    found = audit(network, images).effect
    detector, hidden = detector_of(network), Regions.of(images, GRID).hidden
    targets = np.where(networks_of(detector).logits_of(images).numpy() > 0, AI, REAL)
    drops = class_probabilities(detector, images, targets) - class_probabilities(detector, hidden, targets)
    expected = scipy.stats.bootstrap((drops,), np.mean, method="percentile", n_resamples=4000, rng=1)
    assert found.value == pytest.approx(drops.mean())
    width = expected.confidence_interval.high - expected.confidence_interval.low
    assert [found.low, found.high] == pytest.approx(list(expected.confidence_interval), abs=0.15 * width)


def test_duplicates_widen_the_intervals(corner: ExplanationAudit) -> None:
    images = chequered(8) * torch.linspace(0.6, 1.4, 8)[:, None, None, None]
    thrice = images.repeat(3, 1, 1, 1)
    alone, grouped = audit(CheckersAt(CORNER), thrice), audit(CheckersAt(CORNER), thrice, [*"abcdefgh"] * 3)
    assert grouped.n_groups == 8
    assert grouped.effect.high - grouped.effect.low > 1.3 * (alone.effect.high - alone.effect.low)
    assert math.isnan(audit(CheckersAt(CORNER), thrice, ["one"] * 24).effect.low)


def test_folds_explain_each_image_with_its_own_network() -> None:
    images, detectors = chequered(6), [detector_of(CheckersAt(CORNER)), detector_of(CheckersAt(MIDDLE))]
    settings = {"grid": GRID, "resamples": 50, "progress": False}
    both = evaluate_explanations(images, range(6), [detectors[0]] * 4 + [detectors[1]] * 2, **settings)  # type: ignore[arg-type]
    single = [evaluate_explanations(images, range(6), each, **settings) for each in detectors]  # type: ignore[arg-type]
    # In deletion by heat one step removes corner and middle alike; from the centre, only the middle.
    halfway = [each.curve("deletion", "centre").mean[5] for each in (both, *single)]
    assert halfway[0] == pytest.approx((4 * halfway[1] + 2 * halfway[2]) / 6, abs=0.02)
    assert halfway[1] > 0.9 > 0.1 > halfway[2]


def test_an_ensemble_is_explained_by_the_mean_of_its_maps() -> None:
    ensemble = detector_of(CheckersAt(CORNER), CheckersAt(MIDDLE))
    found = evaluate_explanations(chequered(), range(24), ensemble, grid=GRID, resamples=300, progress=False)
    assert found.beats("random")
    assert found.curve("deletion", "heat").mean[2] < 0.1  # ten cells, which hold the evidence of both


def test_the_same_seed_gives_the_same_audit(corner: ExplanationAudit) -> None:
    assert audit(CheckersAt(CORNER)).plain() == corner.plain()


def test_probabilities_are_calibrated_and_of_the_class_asked_for() -> None:
    network, images = CheckersAt(CORNER), chequered(2)
    logits = networks_of(detector_of(network)).logits_of(images).double()
    found = class_probabilities(detector_of(network, temperature=2.5), images, np.array([AI, REAL]))
    assert found == pytest.approx([(logits[0] / 2.5).sigmoid().item(), (-logits[1] / 2.5).sigmoid().item()])


def test_a_view_hides_the_first_cells_and_insertion_all_others() -> None:
    images = torch.rand(2, 3, 50, 70)
    regions = Regions.of(images, 3)
    order = np.array([[4, 0, 1, 2, 3, 5, 6, 7, 8], [8, 7, 6, 5, 4, 3, 2, 1, 0]])
    deleted, inserted = regions.view(order, 1), regions.view(order, 1, insertion=True)
    middle = (slice(17, 34), slice(24, 47))  # the centre cell of a 50 x 70 image
    assert deleted[0, :, *middle].equal(regions.hidden[0, :, *middle])
    assert inserted[0, :, *middle].equal(images[0, :, *middle])
    assert (deleted[0] != images[0]).any(dim=0).sum() <= 17 * 23
    assert torch.equal(deleted[1, :, :34], images[1, :, :34])
    assert torch.equal(deleted + inserted, images + regions.hidden)
    assert regions.hidden.std() < 0.2 * images.std()


@pytest.mark.parametrize("sigma", [0.8, 4.0])
def test_blur_agrees_with_torchvision(sigma: float) -> None:
    images = torch.randn(2, 3, 20, 31, generator=torch.Generator().manual_seed(0))
    kernel = 2 * math.ceil(3 * sigma) + 1
    torch.testing.assert_close(blurred(images, sigma), gaussian_blur(images, [kernel] * 2, [sigma] * 2))
    assert blurred(images[..., :5], 4.0).std() < 0.2  # narrower than the kernel


def test_mean_heat_and_nearness_are_by_cell() -> None:
    regions = Regions.of(torch.zeros(1, 3, 6, 8), 2)
    heat = np.zeros((1, 6, 8), dtype=np.float32)
    heat[0, :3, 4:] = 2
    heat[0, 5, 0] = 12
    assert regions.mean_heat(heat).tolist() == [[0, 2, 1, 0]]
    assert Regions.of(torch.zeros(1, 3, 9, 9), 3).nearness().argmax() == 4


def test_ties_are_in_random_order() -> None:
    scores = np.array([[0.0, 1.0, 0.0, 0.0]] * 600)
    orders = ordered(scores, np.random.default_rng(0))
    assert (orders[:, 0] == 1).all()
    assert sorted(orders[0]) == [0, 1, 2, 3]
    assert np.bincount(orders[:, 1], minlength=4)[[0, 2, 3]] == pytest.approx([200, 200, 200], abs=50)


def test_rank_correlation_agrees_with_scipy() -> None:
    first, second = np.random.default_rng(0).integers(0, 5, (2, 6, 20)).astype(float)
    expected = [scipy.stats.spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
    assert rank_correlation(first, second) == pytest.approx(expected)
    assert math.isnan(rank_correlation(np.ones((1, 20)), second[:1])[0])


def test_random_weights_are_new_everywhere_and_leave_the_network_alone() -> None:
    network = ReXNet(width=0.25).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images = torch.randn(4, 3, 64, 64)
    fresh = random_weights(network, images, seed=1)
    assert all(before[name].equal(tensor) for name, tensor in network.state_dict().items())
    for name, parameter in fresh.named_parameters():
        assert parameter.ndim < 2 or not parameter.equal(before[name]), name
    assert not fresh.training
    again, other = random_weights(network, images, seed=1), random_weights(network, images, seed=2)
    assert torch.equal(fresh(images), again(images))
    assert not torch.equal(fresh(images), other(images))
    with torch.no_grad():  # signals reach the end: without fitted batch norms the features are below 1e-3
        assert cast(ReXNet, fresh).forward_features(images).std() > 0.1


def test_nothing_measurable_is_said_to_be_undefined() -> None:
    blank = audit(CheckersAt(CORNER), torch.zeros(12, 3, SIDE, SIDE))
    assert not blank.beats("random")
    assert not blank.similarity.defined
    assert not blank.depends_on_weights
    json.dumps(blank.plain(), allow_nan=False)


def test_figures_are_drawn(corner: ExplanationAudit) -> None:
    assert pixels(curves_figure(corner), dpi=60).std() > 10
    assert len(corner.examples) == 3
    example = corner.examples[0]
    assert example.image.shape == (SIDE, SIDE, 3)
    assert example.heat.max() == 1
    assert [view.order for view in example.views] == list(ORDERS)
    assert example.views[0].probability < 0.1 < 0.9 < example.probability
    assert pixels(examples_figure(corner), dpi=60).std() > 10
    bare = evaluate_explanations(
        chequered(2), [0, 1], detector_of(CheckersAt(CORNER)), grid=GRID, examples=0, resamples=20, progress=False
    )
    with pytest.raises(ValueError, match="no examples to draw"):
        examples_figure(bare)


@pytest.mark.parametrize(
    ("count", "groups", "options", "message"),
    [
        (0, [], {}, "no images to explain"),
        (3, [0, 1], {}, "more than 2 images for 2 groups"),
        (1, [0, 1], {}, "1 images for 2 groups"),
        (2, [0, 1], {"method": "tarot"}, "expected one of cam, gradcam"),
        (2, [0, 1], {"steps": 1}, "at least 2"),
        (2, [0, 1], {"grid": 57}, "expected 2 to 56 cells"),
    ],
)
def test_what_does_not_fit_is_named(count: int, groups: list[int], options: dict[str, object], message: str) -> None:
    settings = {"grid": GRID, "resamples": 20, "progress": False} | options
    with pytest.raises(ValueError, match=message):
        evaluate_explanations(chequered(count), groups, detector_of(CheckersAt(CORNER)), **settings)  # type: ignore[arg-type]


def test_detectors_must_be_as_many_as_images_and_their_logits_finite() -> None:
    network = CheckersAt(CORNER)
    with pytest.raises(ValueError, match="1 detectors for 2 groups"):
        evaluate_explanations(chequered(2), [0, 1], [detector_of(network)], grid=GRID, progress=False)
    network.offset = math.nan
    with pytest.raises(ValueError, match="not finite"):
        evaluate_explanations(chequered(2), [0, 1], detector_of(network), grid=GRID, progress=False)
