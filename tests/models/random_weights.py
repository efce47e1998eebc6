"""Random weights for tests, so that no term of a formula can hide behind a zero or a one."""

import torch


def randomised(module):
    """``module`` with a random amount added to every parameter, and random running variances."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif tensor.is_floating_point():
                tensor.add_(0.1 * torch.randn_like(tensor))
    return module
