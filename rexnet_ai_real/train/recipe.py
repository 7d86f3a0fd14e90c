"""What a run does beyond plain training of all weights, in words."""

from rexnet_ai_real.config import TrainConfig


def recipe(config: TrainConfig) -> str:
    """The ingredients that are on, such as "stem and 3 blocks frozen, EMA 0.999"; empty where none is."""
    model, averaging, distill, data = config.model, config.averaging, config.distill, config.data
    last = f"EMA {averaging.decay:g}" if averaging.name == "ema" else f"SWA from {averaging.start:.0%} on"
    parts = {
        f"split by {data.split_by}": data.split_by != "group",
        "balanced batches": data.balance,
        f"views {' + '.join(data.views)}": len(data.views) > 1,
        f"pairs {data.pairs.share:g}": data.pairs.share,
        f"delivery {config.augment.delivery:g}": config.augment.delivery,
        f"native {config.augment.native:g}": config.augment.native,
        f"erasing {config.augment.erasing:g}": config.augment.erasing,
        f"stem and {model.freeze} blocks frozen": model.freeze,
        f"last layer alone for {model.freeze_epochs} epochs": model.freeze_epochs,
        "batch-norm statistics frozen": model.freeze_norm,
        f"layer decay {config.optimizer.layer_decay:g}": config.optimizer.layer_decay < 1,
        f"label smoothing {config.loss.label_smoothing:g}": config.loss.label_smoothing,
        f"mixup {config.augment.mixup:g}": config.augment.mixup,
        f"cutmix {config.augment.cutmix:g}": config.augment.cutmix,
        last: averaging.name,
        f"taught by {distill.teacher}, weight {distill.weight:g}": distill.teacher,
        f"gradient clipped at {config.trainer.gradient_clip}": config.trainer.gradient_clip,
        f"{config.trainer.accumulate_grad_batches} batches a step": config.trainer.accumulate_grad_batches > 1,
    }
    return ", ".join(words for words, is_on in parts.items() if is_on)
