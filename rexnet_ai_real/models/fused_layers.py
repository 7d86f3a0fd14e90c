"""Layers of ReXNet whose backward passes keep less and cost less, for training on a CPU: `memory_efficient(model)`.

Nothing is approximated: the same kernels give the same outputs. A backward pass computes again what it needs from what
another layer keeps anyway.

- Batch norm followed by SiLU keeps only the input of the norm; the input of SiLU is computed again.
- Batch norm, squeeze-and-excite and ReLU6 keep that input, the gate and the output.
- The input's gradient of a depthwise convolution with stride 2 is computed in float32: oneDNN has no fast path for it
  in bfloat16 (figures: benchmarks/RESULTS.md).

The plain layers run wherever the difference could be seen or would not help: without gradients, on another device, in
a module with hooks, and in a network that is compiled, traced or exported. Second derivatives and `torch.func` are not
supported while training on a CPU.
"""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.modules import module as hooks_of_all

from rexnet_ai_real.models.rexnet import ConvNorm, LinearBottleneck, SqueezeExcite

_Norm = torch.ops.aten.native_batch_norm
_NormBackward = torch.ops.aten.native_batch_norm_backward
_ConvBackward = torch.ops.aten.convolution_backward

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

Network = TypeVar("Network", bound=nn.Module)


class FusedConvNorm(ConvNorm):
    """Batch norm and SiLU as one step, behind a convolution with a faster backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        """As `ConvNorm.forward`."""
        x = convolved(x, self.conv)
        if isinstance(self.act, nn.SiLU) and can_fuse(x, self.bn, self.act):
            return norm_silu(x, self.bn)
        return self.act(self.bn(x))  # type: ignore[no-any-return]


class FusedLinearBottleneck(LinearBottleneck):
    """Batch norm, squeeze-and-excite and ReLU6 as one step."""

    def filtered(self, x: Tensor) -> Tensor:
        """As `LinearBottleneck.filtered`."""
        conv, norm = self.conv_dw.conv, self.conv_dw.bn
        usual = isinstance(self.se, SqueezeExcite | nn.Identity) and isinstance(self.act_dw, nn.ReLU6)
        if not (usual and can_fuse(x, norm, self.conv_dw, self.conv_dw.act, self.se, self.act_dw)):
            return super().filtered(x)
        if isinstance(self.se, SqueezeExcite):
            return norm_gate_relu6(convolved(x, conv), norm, self.se.gate)
        return norm_relu6(convolved(x, conv), norm)


_FUSED: dict[type[nn.Module], type[nn.Module]] = {ConvNorm: FusedConvNorm, LinearBottleneck: FusedLinearBottleneck}


def memory_efficient(model: Network) -> Network:
    """Fuse the layers of a ReXNet for training on a CPU: the same numbers with 0.65 of the activations in memory.

    Works in place and returns the model. Parameters, keys of the state dict, hooks and outputs stay as they are. Layers
    of other networks are left alone.
    """
    for module in model.modules():
        # The class alone differs: the same parameters, buffers and hooks under another forward.
        module.__class__ = _FUSED.get(type(module), type(module))
    return model


def can_fuse(x: Tensor, norm: nn.Module, *others: nn.Module) -> bool:
    """Whether a batch norm can run as one step with its neighbours: in training on a CPU, with no hooks on them.

    Args:
        x: the input.
        norm: the batch norm.
        others: modules that would not be called on their own.
    """
    return (
        type(norm) is nn.BatchNorm2d
        and norm.training
        and norm.affine
        and norm.momentum is not None
        and _is_unobserved(x, norm, *others)
    )


def needs_float32_gradient(x: Tensor, convolution: nn.Conv2d) -> bool:
    """Whether oneDNN has no fast backward pass for it: depthwise, stride 2, in 16 bits on a CPU."""
    return (
        convolution.groups > 1
        and convolution.stride == (2, 2)
        and _is_unobserved(x, convolution)
        and _compute_dtype(x) in (torch.bfloat16, torch.float16)
    )


def norm_silu(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """silu(norm(x)), (N, C, H, W); the running statistics move as in `norm.forward`."""
    z: Tensor = _NormSiLU.apply(x, norm.weight, norm.bias, norm)
    return z


def norm_relu6(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """relu6(norm(x)), (N, C, H, W)."""
    z: Tensor = _NormReLU6.apply(x, norm.weight, norm.bias, norm)
    return z


def norm_gate_relu6(x: Tensor, norm: nn.BatchNorm2d, gate_of: Any) -> Tensor:
    """relu6(y * gate_of(mean of y over all spatial positions)) with y = norm(x), (N, C, H, W).

    Args:
        x: output of the depthwise convolution.
        norm: the batch norm that follows it.
        gate_of: means (N, C, 1, 1) -> gate of the same shape.
    """
    y, means, *statistics = _NormPool.apply(x, norm.weight, norm.bias, norm)
    inputs = (x.detach(), norm.weight.detach(), norm.bias.detach(), *statistics, norm.eps)
    z: Tensor = _GatedReLU6.apply(y, gate_of(means), *inputs)
    return z


def convolved(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """convolution(x), with the faster backward pass where there is one."""
    return depthwise(x, convolution) if needs_float32_gradient(x, convolution) else convolution(x)


def depthwise(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """convolution(x) for a depthwise one of stride 2 without a bias, in the dtype that autocast asks for."""
    dtype = _compute_dtype(x)
    y: Tensor = _StridedDepthwise.apply(x.to(dtype), convolution.weight.to(dtype), convolution.padding)
    return y


def _compute_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which a convolution computes: autocast leaves float64 alone."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") and x.dtype.itemsize < 8 else x.dtype


def _is_unobserved(x: Tensor, *modules: nn.Module) -> bool:
    """Whether gradients are wanted on a CPU and no hook, tracer or compiler looks at the layers."""
    return (
        torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and isinstance(x, Tensor)  # torch.fx sends placeholders through
        and x.device.type == "cpu"
        and not any(getattr(hooks_of_all, f"_global{hooks}") for hooks in _HOOKS)
        and not any(getattr(module, hooks) for module in modules for hooks in _HOOKS)
    )


def _batch_normed(x: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor, Tensor]:
    """Output of the norm, and mean and 1 / sqrt(variance + eps) of the batch; its running statistics move."""
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    running = (norm.running_mean, norm.running_var)
    outputs: tuple[Tensor, Tensor, Tensor] = _Norm(x, norm.weight, norm.bias, *running, True, norm.momentum, norm.eps)
    return outputs


def _recomputed(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, deviation: Tensor, eps: float) -> Tensor:
    """The output of the norm computed again by the same kernel; `deviation` is 1 / sqrt(variance + eps)."""
    variance = deviation.pow(-2) - eps
    y: Tensor = _Norm(x, weight, bias, mean, variance, False, 0.0, eps)[0]
    return y


def _norm_gradients(ctx: Any, dy: Tensor, x: Tensor, weight: Tensor, mean: Tensor, deviation: Tensor) -> Any:
    """Of the input, weight and bias, which come first among the arguments; None where frozen."""
    wanted = list(ctx.needs_input_grad[:3])
    gradients = _NormBackward(dy, x, weight, None, None, mean, deviation, True, ctx.eps, wanted)
    return (gradient if wants else None for gradient, wants in zip(gradients, wanted, strict=True))


class _NormSiLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        y, mean, deviation = _batch_normed(x, norm)
        ctx.save_for_backward(x, weight, bias, mean, deviation)
        ctx.eps = norm.eps
        return F.silu(y, inplace=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dz: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, deviation = ctx.saved_tensors
        dy = torch.ops.aten.silu_backward(dz, _recomputed(x, weight, bias, mean, deviation, ctx.eps))
        return (*_norm_gradients(ctx, dy, x, weight, mean, deviation), None)


class _NormReLU6(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        y, mean, deviation = _batch_normed(x, norm)
        z: Tensor = y.clamp_(0, 6)
        ctx.save_for_backward(x, weight, z, mean, deviation)
        ctx.eps = norm.eps
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dz: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, z, mean, deviation = ctx.saved_tensors
        dy = torch.ops.aten.hardtanh_backward(dz, z, 0.0, 6.0)
        return (*_norm_gradients(ctx, dy, x, weight, mean, deviation), None)


class _NormPool(torch.autograd.Function):
    """Output of the norm, its means over all spatial positions, and the statistics to compute the output again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, ...]:
        y, mean, deviation = _batch_normed(x, norm)
        ctx.save_for_backward(x, weight, mean, deviation)
        ctx.eps = norm.eps
        ctx.mark_non_differentiable(mean, deviation)
        return y, y.mean((2, 3), keepdim=True), mean, deviation

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, dmeans: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, deviation = ctx.saved_tensors
        dy = dy + dmeans.to(dy.dtype) / (x.shape[2] * x.shape[3])
        return (*_norm_gradients(ctx, dy, x, weight, mean, deviation), None)


class _GatedReLU6(torch.autograd.Function):
    """relu6(y * gate), where y is not kept but computed again from the input of its norm."""

    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        gate: Tensor,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        deviation: Tensor,
        eps: float,
    ) -> Tensor:
        z = (y * gate).clamp_(0, 6)
        ctx.save_for_backward(gate, z, x, weight, bias, mean, deviation)
        ctx.eps = eps
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dz: Tensor) -> tuple[Tensor | None, ...]:
        gate, z, x, weight, bias, mean, deviation = ctx.saved_tensors
        dproduct = torch.ops.aten.hardtanh_backward(dz, z, 0.0, 6.0)
        dgate = _recomputed(x, weight, bias, mean, deviation, ctx.eps).mul_(dproduct).sum((2, 3), keepdim=True)
        return (dproduct.mul_(gate), dgate.to(gate.dtype), None, None, None, None, None, None)


class _StridedDepthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        return F.conv2d(x, weight, None, 2, padding, 1, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        form = (None, (2, 2), ctx.padding, (1, 1), False, (0, 0), len(weight))
        trained = ctx.needs_input_grad[1]
        dweight = _ConvBackward(dy, x, weight, *form, (False, True, False))[1] if trained else None
        if not ctx.needs_input_grad[0]:
            return None, dweight, None
        shape = torch.empty_like(x, dtype=torch.float32)  # only its shape and layout count
        dx = _ConvBackward(dy.float(), shape, weight.float(), *form, (True, False, False))[0]
        return dx.to(x.dtype), dweight, None
