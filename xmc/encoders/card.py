"""The card of a model that is not trained yet, and what every card says about using the folder."""

from __future__ import annotations

__all__ = ["CARD_FILE", "USE", "plain_card"]

CARD_FILE = "README.md"

USE = """## Use

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder")
queries = model.encode_query(["a text"])
labels = model.encode_document(["a label"])
print(model.similarity(queries, labels))
```

`xmc.json` holds the scale of a score and the fields the model was trained on. Where they are there,
`label_offsets.parquet` holds one number per label to add to its score, `label_residuals.safetensors` one
vector per label to add to its encoded text (`label_residuals.parquet` has the rows by uid), and
`label_table.safetensors` one vector per label to use instead of its encoded text (`label_table.parquet` has
the uid of each row). With xmc (the distribution `xmc-dual-encoder`),
`xmc index MODEL --labels DATASET --out INDEX` and `xmc search INDEX "a text"` rank the labels with all of
these.
"""


def plain_card(dimension: int) -> str:
    """The text of the card of a model of which no more is known than its D dimensions."""
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---

# Dual encoder

A dual encoder for extreme multi-label classification: queries and labels in one space of
{dimension} dimensions.

{USE}"""
