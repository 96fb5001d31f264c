"""Training of torch networks: recipe, batches, augmentation, losses, schedule, validation."""
