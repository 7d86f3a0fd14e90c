"""Whether heat maps say where the detector looks: deletion and insertion against two priors, and a random network.

A map that explains the detector must find the decisive regions better than chance, and better than the guess that
they lie in the middle. And the map of a network with random weights must look different (Adebayo et al. 2018,
"Sanity checks for saliency maps"): one that does not shows the edges of the picture, whatever was learnt.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import batched, groupby
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from scipy.stats import rankdata
from torch import Tensor, nn

from rexnet_ai_real.cam import METHODS, heat_maps, scaled
