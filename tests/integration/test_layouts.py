"""Encoders of every layout that can be a base, as small as they come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    ElectraConfig,
    ElectraModel,
    MPNetConfig,
    MPNetModel,
    RobertaConfig,
    RobertaModel,
)

from models.onnx_export import Blueprint, export_float32, pooled_encoder

SMALL = {
    "vocab_size": 1000,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


@pytest.mark.parametrize(
    ("model", "config"),
    [
        (BertModel, BertConfig(**SMALL)),
        (RobertaModel, RobertaConfig(**SMALL)),
        (MPNetModel, MPNetConfig(**SMALL)),
        (ElectraModel, ElectraConfig(**SMALL, embedding_size=8)),
    ],
)
def test_what_is_exported_computes_as_the_encoder_does(tmp_path: Path, model: type, config: object) -> None:
    """A window of any length, which the graph was not traced with, gives the same numbers, with a mask or without."""
    torch.manual_seed(0)
    model(config).save_pretrained(tmp_path)
    blueprint = Blueprint(tmp_path, "", ("mean 2", "spread 1"))
    export_float32(blueprint, tmp_path / "float32.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "float32.onnx", providers=["CPUExecutionProvider"])
    encoder = pooled_encoder(blueprint)
    for tokens in (1, 7, 16, 200):
        ids = np.random.default_rng(tokens).integers(5, 1000, (1, tokens))
        row, padding = torch.from_numpy(ids), torch.zeros(1, 3, dtype=torch.long)
        with torch.inference_mode():
            alone = encoder(row)
            padded = encoder(
                torch.cat([row, padding + (config.pad_token_id or 0)], dim=1),  # type: ignore[attr-defined]
                torch.cat([torch.ones_like(row), padding], dim=1),
            )
        served = session.run(None, {"input_ids": ids})[0]
        assert served == pytest.approx(alone.numpy(), abs=1e-4)
        assert padded.numpy() == pytest.approx(alone.numpy(), abs=1e-4)
