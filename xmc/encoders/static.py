"""Static towers: a bag of token vectors, made from a pretrained transformer.

Two ways to make the vectors, both weighted so that frequent tokens count less in the mean:

* ``input_table``: the transformer's own input word-embedding table. It costs nothing.
* ``distilled_table``: the transformer's output for each token alone (model2vec); it takes 20 to 40 s on two
  cores for 30,000 tokens of a small model, and is kept on disk.

Untrained all-MiniLM-L6-v2, P@1 / R@100 in percent, 2,000 descriptions of software packages against 30,125
titles: input table unweighted 5.3 / 16.5, weighted 12.1 / 27.5; distilled 11.2 / 25.0 (256 components: 11.0 /
24.4; without PCA: 5.9 / 16.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor

from xmc.encoders.folder_checks import check_vocabularies
from xmc.encoders.model_cache import model_cache
from xmc.encoders.static_model import read_static
from xmc.encoders.static_modules import TokenBag
from xmc.errors import DependencyError, ModelError
from xmc.files import atomic_folder, fingerprint, sha256_file
from xmc.received import read_json, reading

__all__ = ["distilled_table", "input_table", "rank_weights", "read_input_table", "static_copy"]

# Smaller than the 1e-4 usual for word counts, which holds back too few tokens (P@1 7.8, not 12.1).
SIF = 1e-5

_TABLES = ("embeddings.word_embeddings.weight", "bert.embeddings.word_embeddings.weight")
_OF_BERT = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_SPECIAL = ("bos_token", "eos_token", *_OF_BERT)


def input_table(transformer: Any, *, sif: float | None = SIF) -> TokenBag:
    """The transformer's input word embeddings [V, D] as a bag of tokens; special tokens are zero vectors.

    The table is scaled back to its mean row length after weighting, so that one learning rate suits both.

    Args:
        transformer: The library's module; its tokenizer and table are copied.
        sif: Weight of a token is ``sif / (sif + probability)``; None weights all alike.
    """
    table = transformer.model.get_input_embeddings().weight.detach().float().clone()
    tokenizer = Tokenizer.from_str(transformer.tokenizer.backend_tokenizer.to_str())
    return _weighted(tokenizer, table, transformer.tokenizer.all_special_ids, sif)


def read_input_table(folder: Path) -> TokenBag | None:
    """As :func:`input_table`, of a BERT in a folder, read without the libraries that open it.

    None for every other model, and where the folder is not written as theirs are.

    Raises:
        ModelError: When the table or the tokenizer is damaged.
    """
    try:
        if read_json(folder / "config.json")["model_type"] != "bert" or not _begins_with_it(folder):
            return None
        named = read_json(folder / "tokenizer_config.json")
        if not _is_plain(named, folder):
            return None
        special = [named.get(name) for name in _SPECIAL]
        tokens = [token["content"] if isinstance(token, dict) else token for token in special if token]
        with safe_open(folder / "model.safetensors", "pt") as weights:
            key = next(key for key in _TABLES if key in weights.keys())  # noqa: SIM118
            table = weights.get_tensor(key).float()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration, SafetensorError):
        return None  # the libraries say what is wrong with it
    with reading(folder, "a sentence-transformers model", error=ModelError):
        check_vocabularies(folder)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        if not torch.isfinite(table).all():
            raise ValueError(f"its weights {key} hold NaN or infinity")
    ids = [tokenizer.token_to_id(token) for token in tokens]
    return _weighted(tokenizer, table, [number for number in ids if number is not None], SIF)


def _begins_with_it(folder: Path) -> bool:
    """Whether a folder is that of a transformer, bare or at the beginning of a pipeline."""
    file = folder / "modules.json"
    if not file.exists():
        return True
    entries = read_json(file)
    kinds = [entry["type"].rpartition(".") for entry in entries]
    ours = all(package.split(".")[0] == "sentence_transformers" for package, _, _ in kinds)
    return ours and kinds[0][2] == "Transformer" and entries[0]["path"] == ""


def _is_plain(named: dict[str, Any], folder: Path) -> bool:
    """Whether a tokenizer is its ``tokenizer.json``, to which the libraries and other files add nothing.

    Args:
        named: Its ``tokenizer_config.json``.
        folder: Of the model.
    """
    written = read_json(folder / "tokenizer.json")
    kind = str(named.get("tokenizer_class"))
    if kind.startswith("Bert"):
        # What the class would put in place of what is not said, it is not to find here.
        normalizer = written["normalizer"]
        said = [named[key] for key in ("do_lower_case", "strip_accents", "tokenize_chinese_chars")]
        does = [normalizer[key] for key in ("lowercase", "strip_accents", "handle_chinese_chars")]
        if normalizer["type"] != "BertNormalizer" or said != does or not all(map(named.get, _OF_BERT)):
            return False
    elif kind not in ("PreTrainedTokenizerFast", "TokenizersBackend") or "do_lower_case" in named:
        return False
    files = ("special_tokens_map.json", "sentence_bert_config.json", "config_sentence_transformers.json")
    more = [named, *(read_json(folder / name) for name in files if (folder / name).exists())]
    changing = ("additional_special_tokens", "extra_special_tokens", "default_prompt_name")
    return not any(
        any(settings.get(key) for key in changing)
        or (settings is not named and settings.get("do_lower_case"))
        or any((settings.get("prompts") or {}).values())
        for settings in more
    )


def _weighted(tokenizer: Tokenizer, table: Tensor, special: Sequence[int], sif: float | None) -> TokenBag:
    length = table.norm(dim=1).mean()
    if sif is not None:
        table *= rank_weights(len(table), sif).unsqueeze(1)
    # Of these a bag meets the unknown token alone, which stands for anything and so should say nothing.
    table[torch.tensor(special, dtype=torch.int64)] = 0
    # The direction of a bag does not depend on the table's scale, but what a step of Adam turns does.
    table *= length / table.norm(dim=1).mean().clamp(min=1e-12)
    return TokenBag(tokenizer, table)


def rank_weights(size: int, sif: float) -> Tensor:
    """Weights float32 [V] of tokens whose id is their frequency rank, as in most trained vocabularies.

    Zipf's law gives token ``i`` the probability ``p`` in proportion to ``1 / (i + 2)``; its weight is
    ``sif / (sif + p)`` (Arora et al. 2017, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings",
    section 3).
    """
    probability = 1 / (torch.arange(size, dtype=torch.float64) + 2)
    probability /= probability.sum()
    return (sif / (sif + probability)).float()


def distilled_table(folder: Path) -> TokenBag:
    """The library's distillation of the transformer in ``folder``, kept in the cache for the next time.

    PCA centres the vectors, which nearly doubles their P@1, and keeps all components. The cache is
    ``$XMC_CACHE`` or ``~/.cache/xmc``.

    Raises:
        DependencyError: When model2vec is missing.
        ModelError: When what is in the cache is damaged.
    """
    # Named by what it is made from, so that a changed model is distilled anew.
    cached = model_cache() / "distilled" / _source_fingerprint(folder)
    if not (cached / "modules.json").exists():
        try:
            import model2vec.distill  # noqa: F401
        except ImportError as error:
            raise DependencyError(
                'static_init "distill" needs model2vec, which is missing: pip install "model2vec[distill]", '
                'or use static_init "tokens"'
            ) from error
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding

        module = StaticEmbedding.from_distillation(str(folder), device="cpu", pca_dims="auto")  # type: ignore[arg-type]
        module.base_model = None
        with atomic_folder(cached, overwrite=True) as temporary:
            model = SentenceTransformer(modules=[module], device="cpu")
            model.save_pretrained(str(temporary), create_model_card=False)
    with reading(cached, "a distilled table", f"remove {cached}", error=ModelError):
        read = read_static(cached, "cpu")
    if read is None:
        raise ModelError(f"expected a distilled table in {cached}, which is damaged: remove that folder")
    bag: Any = read.side("query")[0]
    return TokenBag(bag.tokenizer, bag.embedding.weight.detach().float())


def static_copy(module: Any, max_length: int, *, share: bool = False) -> TokenBag:
    """A bag of tokens with its own tokenizer, cutting at ``max_length``; ``share`` keeps the same weights."""
    tokenizer = Tokenizer.from_str(module.tokenizer.to_str())
    tokenizer.enable_truncation(max_length)
    # The length is the tokenizer's, so two lengths need two modules, also where they share one table.
    copy = TokenBag(tokenizer, module.embedding.weight.detach().clone())
    if share:
        copy.embedding = module.embedding
    return copy


def _source_fingerprint(folder: Path) -> str:
    suffixes = (".safetensors", ".json", ".txt", ".model")
    files = sorted(path for path in folder.glob("*") if path.suffix in suffixes)
    return fingerprint("distilled 1", *(f"{path.name} {sha256_file(path)}" for path in files))
