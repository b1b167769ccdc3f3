"""An encoder so small that a test can train it."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from transformers import BertConfig, BertModel

from models.encoder import base_folder


def tiny_encoder(folder: Path) -> Path:
    """Writes one narrow layer at its random start, always the same, with the tokenizer in the box; gives the folder."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30522, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(folder)
    shutil.copyfile(base_folder() / "tokenizer.json", folder / "tokenizer.json")
    return folder
