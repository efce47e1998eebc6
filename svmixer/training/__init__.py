"""Training: one loop on Lightning Fabric for pretraining, distillation and speakers, with exact resume."""
