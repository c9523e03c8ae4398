"""Texts as tokens: cut, padded and masked as the model knows them, the same every time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    DebertaV2Config,
    DistilBertConfig,
    GPT2Config,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    ViTConfig,
)

from tests.support import tiny_bert
from workbench.backbones import tokenizers
from workbench.backbones.tokenizers import tokenize
from workbench.backbones.transformers_configs import quiet
from workbench.datasets.samples import Texts, Tokens
from workbench.downloads import NotDownloadedError

TEXTS = ("the film was good", "", "a nameless play and a very very very long story")
# In the vocabulary of `tiny_bert`.
PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    yield
    tokenizers._tokenize.cache_clear()


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    return tiny_bert.save(tmp_path / "bert")


def test_a_tokenizer_that_has_changed_is_read_anew(bert: Path) -> None:
    texts = Texts(TEXTS)
    before = tokenize(texts, model=str(bert))
    assert tokenize(texts, model=str(bert)) is before
    tiny_bert.tokenizer(reversed(tiny_bert.WORDS)).save_pretrained(bert)
    after = tokenize(texts, model=str(bert))
    assert not torch.equal(after.columns["input_ids"], before.columns["input_ids"])


def save(folder: Path, config: PreTrainedConfig, *, begin: str = "", end: str = "</s>") -> Path:
    """A configuration beside a tokenizer of words that has no token for padding."""
    words = {word: number for number, word in enumerate(("<s>", "<x>", "</s>", *tiny_bert.WORDS))}
    words |= {"<unk>": len(words)}
    backend = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if begin:
        backend.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A {end}", special_tokens=[(begin, words[begin]), (end, words[end])]
        )
    with quiet():
        config.save_pretrained(folder)
        found: Any = PreTrainedTokenizerFast
        found(
            tokenizer_object=backend, unk_token="<unk>", eos_token=end, model_max_length=512
        ).save_pretrained(folder)
    return folder


def decoder(folder: Path, **more: Any) -> Path:
    config = {"vocab_size": 50, "n_embd": 8, "n_layer": 1, "n_head": 1, "n_positions": 20}
    return save(folder, GPT2Config(**{**config, "eos_token_id": 2, "bos_token_id": 2, **more}))


def test_texts_are_padded_at_the_end_and_masked_there(bert: Path) -> None:
    tokens = tokenize(Texts(TEXTS[:2]), model=str(bert))
    known = {word: 5 + number for number, word in enumerate(tiny_bert.WORDS)}
    words = [known[word] for word in TEXTS[0].split()]
    assert tokens.columns["input_ids"].tolist() == [
        [BEGIN, *words, END],
        [BEGIN, END, PAD, PAD, PAD, PAD],
    ]
    assert tokens.columns["attention_mask"].tolist() == [[1] * 6, [1, 1, 0, 0, 0, 0]]
    assert tokens.columns.keys() == {"input_ids", "attention_mask", "token_type_ids"}
    assert {column.dtype for column in tokens.columns.values()} == {torch.int64}
    assert tokens.lengths.tolist() == [6, 2]
    assert tokens.truncated == 0


def test_with_padding_to_max_length_all_batches_have_one_length(bert: Path) -> None:
    shorter = tokenize(Texts(TEXTS), model=str(bert), max_length=20)
    padded = tokenize(Texts(TEXTS), model=str(bert), max_length=20, padding="max_length")
    assert padded.uniform and not shorter.uniform
    for row in range(len(TEXTS)):
        one, own = padded[torch.tensor([row])], shorter[torch.tensor([row])]
        for name, column in one.items():
            assert column.shape == (1, 20)
            assert torch.equal(column[:, : own[name].shape[1]], own[name])
        assert one["attention_mask"].sum() == own["attention_mask"].sum()


def test_a_batch_is_as_long_as_its_longest_text_on_any_device(bert: Path) -> None:
    tokens = tokenize(Texts(TEXTS), model=str(bert)).to(torch.device("meta"))
    (length,) = {column.shape[1] for column in tokens[torch.tensor([1, 0])].values()}
    assert length == 6 < int(tokens.lengths.max())


def test_a_text_that_is_too_long_is_cut_at_its_end_and_counted(bert: Path) -> None:
    tokens = tokenize(Texts(TEXTS), model=str(bert), max_length=6)
    assert tokens.lengths.tolist() == [6, 2, 6]
    assert tokens.truncated == 1
    ids = tokens.columns["input_ids"][2].tolist()
    assert ids[0] == BEGIN and ids[2] == UNKNOWN and ids[5] == END
    assert tokens.to(torch.device("cpu")).truncated == 1


def test_more_texts_than_are_taken_at_a_time_are_all_there(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tokenize(Texts(TEXTS * 3), model=str(bert), max_length=6)
    monkeypatch.setattr(tokenizers, "_BATCH", 2)
    parts = tokenize(Texts(TEXTS * 3), model=str(bert), max_length=6)
    assert same(whole, parts) and parts.truncated == whole.truncated == 3


def same(first: Tokens, second: Tokens) -> bool:
    return first.columns.keys() == second.columns.keys() and all(
        torch.equal(column, second.columns[name]) for name, column in first.columns.items()
    )


def test_the_same_texts_are_tokenized_once(bert: Path) -> None:
    texts = Texts(TEXTS)
    first = tokenize(texts, model=str(bert))
    assert tokenize(texts, model=str(bert), stages=["layer.0"]) is first
    assert tokenize(texts, model=str(bert), max_length=5) is not first


def test_the_length_is_128_or_what_the_model_takes(bert: Path) -> None:
    long = Texts(("good " * 300,))
    assert tokenize(long, model=str(bert)).lengths.tolist() == [40]
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 512}))
    told = json.loads((bert / "tokenizer_config.json").read_text())
    (bert / "tokenizer_config.json").write_text(json.dumps({**told, "model_max_length": 512}))
    assert tokenize(Texts(long.values), model=str(bert)).lengths.tolist() == [128]
    assert tokenize(long, model=str(bert), max_length=300).lengths.tolist() == [300]


@pytest.mark.parametrize("length", [2, 41])
def test_a_length_that_the_model_cannot_take_is_refused(bert: Path, length: int) -> None:
    with pytest.raises(ValueError, match=rf"max_length is {length}; .* it may be 3 to 40 tokens"):
        tokenize(Texts(TEXTS), model=str(bert), max_length=length)


def test_positions_of_roberta_begin_after_the_padding(tmp_path: Path) -> None:
    config = RobertaConfig(
        vocab_size=50,
        max_position_embeddings=22,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        num_hidden_layers=1,
    )
    folder = save(tmp_path, config, begin="<s>")
    tokens = tokenize(Texts(("good " * 30, "good")), model=str(folder))
    assert tokens.lengths.tolist() == [20, 3]
    assert tokens.columns["input_ids"][1].tolist()[:4] == [0, 16, 2, 1]
    with pytest.raises(ValueError, match="3 to 20 tokens"):
        tokenize(Texts(("good",)), model=str(folder), max_length=21)


def test_a_decoder_without_padding_is_filled_up_with_its_end_of_text(tmp_path: Path) -> None:
    tokens = tokenize(Texts(("good film", "", "good")), model=str(decoder(tmp_path)))
    assert tokens.columns["input_ids"].tolist() == [[16, 5], [2, 2], [16, 2]]
    # An empty text is one token, because no model takes nothing.
    assert tokens.columns["attention_mask"].tolist() == [[1, 1], [1, 0], [1, 0]]
    assert tokens.lengths.tolist() == [2, 1, 1]


def test_a_model_gets_only_what_it_takes(tmp_path: Path, bert: Path) -> None:
    other = DistilBertConfig(vocab_size=40, dim=8, n_layers=1, n_heads=1, hidden_dim=8)
    other.save_pretrained(tmp_path / "distilbert")
    tokens = tokenize(Texts(TEXTS), model=str(tmp_path / "distilbert"), tokenizer=str(bert))
    assert tokens.columns.keys() == {"input_ids", "attention_mask"}


def test_a_tokenizer_with_tokens_that_the_model_lacks_is_refused(
    tmp_path: Path, bert: Path
) -> None:
    folder = decoder(tmp_path / "small", vocab_size=20)
    with pytest.raises(ValueError, match=r"tokens up to number 33, but .* knows only 20"):
        tokenize(Texts(TEXTS), model=str(folder))
    with pytest.raises(ValueError, match=r"tokens up to number 34, but .* knows only 20"):
        tokenize(Texts(TEXTS), model=str(folder), tokenizer=str(bert))


def test_a_model_of_images_reads_no_texts(tmp_path: Path, bert: Path) -> None:
    ViTConfig().save_pretrained(tmp_path / "vit")
    with pytest.raises(ValueError, match="a vit, which takes images, but the samples are texts"):
        tokenize(Texts(TEXTS), model=str(tmp_path / "vit"), tokenizer=str(bert))


def test_a_tokenizer_that_is_not_there_is_named(tmp_path: Path, bert: Path) -> None:
    with pytest.raises(
        NotDownloadedError, match="The tokenizer of nobody/bert is not on this machine"
    ):
        tokenize(Texts(TEXTS), model=str(bert), tokenizer="nobody/bert")
    (bert / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"bert has no tokenizer of a model \(tokenizer\.json"):
        tokenize(Texts(TEXTS), model=str(bert))


def test_a_damaged_tokenizer_is_refused(bert: Path) -> None:
    (bert / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"The tokenizer of .*bert in .*bert cannot be loaded: "):
        tokenize(Texts(TEXTS), model=str(bert))


def test_a_tokenizer_that_must_be_converted_first_says_what_that_needs(bert: Path) -> None:
    """As in ``microsoft/deberta-v3-base``, whose repository has no fast tokenizer."""
    DebertaV2Config().save_pretrained(bert)
    (bert / "tokenizer.json").rename(bert / "spm.model")
    (bert / "tokenizer_config.json").write_text('{"vocab_type": "spm"}')
    with pytest.raises(ValueError, match=r"no tokenizer\.json; pip install sentencepiece"):
        tokenize(Texts(TEXTS), model=str(bert))
