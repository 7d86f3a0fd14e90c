"""What computes the logits: PyTorch, ONNX Runtime or OpenVINO."""
