"""Tokens of one's own texts for a static tower, whose bag of tokens cannot put a split word together again.

A pretrained vocabulary cuts the words of another language or trade into pieces of two or three letters. A
transformer reads them in order; a bag of tokens only counts them. So the words of the data set become tokens,
and each starts as the sum of the pieces it replaces: the untrained model gives the same vectors.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from itertools import chain

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, __version__
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Metaspace, Sequence
from tokenizers.trainers import BpeTrainer

from xmc.encoders.model_cache import model_cache
from xmc.encoders.static_modules import TokenBag
from xmc.errors import ConfigError, DataError, XMCError
from xmc.files import atomic_file, fingerprint_of
from xmc.received import read_json, reading

__all__ = ["extend_vocabulary"]

_log = logging.getLogger(__name__)

# A merge seen less often would make a token with next to nothing to learn from.
MIN_FREQUENCY = 5
WORD_START = "\N{LOWER ONE EIGHTH BLOCK}"


def extend_vocabulary(module: TokenBag, texts: Iterable[str], size: int) -> TokenBag:
    """A static module with up to ``size`` more tokens, pieces of words that are frequent in ``texts``.

    Greedy longest-match (WordPiece) takes a new token wherever it fits, and the old pieces everywhere else. A
    new token's row is the sum of the rows of the pieces it stands for, so that a text's vector keeps its
    direction until training parts them.

    Args:
        module: A bag of WordPiece tokens [V, D].
        texts: The data set's queries and labels.
        size: Tokens to learn from the texts; those the module has already are not added twice.

    Returns:
        A module [V + n, D], n at most ``size``.

    Raises:
        ConfigError: When the module's tokenizer is not WordPiece.
    """
    settings = json.loads(module.tokenizer.to_str())
    kind = settings["model"]["type"]
    if kind != "WordPiece":
        raise ConfigError(
            f"encoder.vocabulary: expected a model with a WordPiece tokenizer, got {kind}: leave the option "
            "out, or start from another model"
        )
    old: dict[str, int] = settings["model"]["vocab"]
    prefix: str = settings["model"]["continuing_subword_prefix"]
    added = [token for token in _learned(module.tokenizer, texts, size, prefix) if token not in old]
    table = module.embedding.weight.detach()
    # A bag adds up (or averages) token vectors. A new token in place of its pieces adds the same sum, so the
    # total stays what it was; a mean is divided by fewer tokens and keeps its direction, which is what is
    # left of it after normalisation.
    pieces = [greedy_pieces(token, old, prefix) for token in added]
    starts = torch.tensor([0, *(len(ids) for ids in pieces)]).cumsum(0)[:-1]
    flat = torch.tensor(list(chain.from_iterable(pieces)), dtype=torch.int64)
    rows = F.embedding_bag(flat, table, starts, mode="sum")
    # Old ids stay, as the rows of the table do; new ones follow in the order they were learned.
    settings["model"]["vocab"] = old | {token: len(old) + i for i, token in enumerate(added)}
    settings["truncation"] = None
    tokenizer = Tokenizer.from_str(json.dumps(settings))
    return TokenBag(tokenizer, torch.cat([table, rows]))


def greedy_pieces(token: str, vocabulary: dict[str, int], prefix: str) -> list[int]:
    """Ids of the longest-match pieces of a token; none when some part of it is in no piece.

    >>> greedy_pieces("##abc", {"##a": 0, "##ab": 1, "##c": 2, "abc": 3}, "##")
    [1, 2]
    """
    inside = token.startswith(prefix)
    rest, ids = token[len(prefix) :] if inside else token, []
    while rest:
        head = prefix if inside else ""
        # WordPiece's own rule: the longest head in the vocabulary, then the same with what is left.
        length = next((n for n in range(len(rest), 0, -1) if head + rest[:n] in vocabulary), 0)
        if not length:
            return []
        ids.append(vocabulary[head + rest[:length]])
        rest, inside = rest[length:], True
    return ids


def _learned(source: Tokenizer, texts: Iterable[str], size: int, prefix: str) -> list[str]:
    """As :func:`_learn`, kept for the next run on the same texts."""
    settings = json.loads(source.to_str())
    rules = json.dumps([settings["normalizer"], settings["pre_tokenizer"], prefix, size, MIN_FREQUENCY])
    file = model_cache() / "vocabularies" / f"{fingerprint_of(chain([__version__, rules], texts))}.json"
    if file.is_file():
        try:
            with reading(file, "a list of tokens"):
                return [_token(token) for token in read_json(file)]
        except DataError as error:
            _log.warning("%s: it is learned again", error)
    tokens = _learn(source, texts, size, prefix)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file) as temporary:
            temporary.write_text(json.dumps(tokens), encoding="utf-8")
    except (OSError, XMCError) as error:
        _log.warning("the vocabulary could not be kept for the next run (%s)", error)
    return tokens


def _token(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"one of them is {value!r:.80}")
    return value


def _learn(source: Tokenizer, texts: Iterable[str], size: int, prefix: str) -> list[str]:
    """Tokens of ``texts`` as WordPiece writes them, normalised and split into words as ``source`` does.

    Learned by byte-pair encoding with a mark before each word: the library's WordPiece trainer numbers its
    tokens in the order of a hash table, so that ties, and with them the vocabulary, differ from run to run.
    """
    learner = Tokenizer(BPE())
    learner.normalizer = source.normalizer
    mark = Metaspace(replacement=WORD_START, prepend_scheme="always", split=False)
    learner.pre_tokenizer = Sequence([source.pre_tokenizer, mark])
    learner.train_from_iterator(
        texts, BpeTrainer(vocab_size=size, min_frequency=MIN_FREQUENCY, show_progress=False)
    )
    vocabulary = learner.get_vocab()
    # By id, the order of the merges: get_vocab is in the order of a hash table.
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    return [_as_word_piece(token, prefix) for token in tokens if token != WORD_START]


def _as_word_piece(token: str, prefix: str) -> str:
    return token[1:] if token.startswith(WORD_START) else prefix + token
