"""Training: one loop on Lightning Fabric for pretraining, distillation and speaker training, with exact resume."""
