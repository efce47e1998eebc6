"""A trained model for other programs: ONNX that was checked against PyTorch, a description, a card."""
