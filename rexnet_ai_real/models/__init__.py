"""The networks: ReXNet from scratch, any timm backbone to compare it with, and weights to start from."""

from rexnet_ai_real.models.architectures import ARCHITECTURES, ModelError, rexnet
from rexnet_ai_real.models.factory import build, build_trained
from rexnet_ai_real.models.fused_layers import memory_efficient
from rexnet_ai_real.models.pretrained import Loaded, load_imagenet, load_pretrained, load_weights, to_timm_layout
from rexnet_ai_real.models.rexnet import BlockSpec, ReXNet, block_table

__all__ = [
    "ARCHITECTURES",
    "BlockSpec",
    "Loaded",
    "ModelError",
    "ReXNet",
    "block_table",
    "build",
    "build_trained",
    "load_imagenet",
    "load_pretrained",
    "load_weights",
    "memory_efficient",
    "rexnet",
    "to_timm_layout",
]
