"""From images on disk to batches: manifest, split, prepared pixels, augmentation."""
