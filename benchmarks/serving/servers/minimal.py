"""The minimal script: imports torch and transformers, loads the model, classifies one text and prints the answer."""

import json
import os
import sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(os.environ["MODEL"])
model = AutoModelForSequenceClassification.from_pretrained(os.environ["MODEL"]).eval()
with torch.inference_mode():
    scores = model(**tokenizer(sys.argv[1], return_tensors="pt")).logits.softmax(dim=-1)[0]
label = int(scores.argmax())
print(json.dumps({"label": model.config.id2label[label], "score": float(scores[label])}))
