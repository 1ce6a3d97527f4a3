"""The network in torch: layers, log-mel, runtime, saliency."""
