"""Training of the heads: data, fit, calibration and the model card."""
