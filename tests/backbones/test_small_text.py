"""Texts become the same numbers everywhere, and padding says nothing."""

from __future__ import annotations

import torch

from workbench.backbones import small_text
from workbench.datasets.samples import Texts

TEXTS = Texts(("A fine film, a FINE film!", "dull", ""))


def test_words_and_marks_are_numbered_whatever_their_case() -> None:
    tokens = small_text.tokenize(TEXTS)
    ids = tokens.columns["input_ids"]
    assert tokens.lengths.tolist() == [8, 1, 1]
    assert ids.shape == (3, 8)
    assert ids[0, 1] == ids[0, 5], "fine and FINE"
    assert len(set(ids[0].tolist())) == 5, "a, fine, film, the comma, the exclamation mark"
    assert tokens.columns["attention_mask"].tolist()[1:] == [[1] + [0] * 7, [0] * 8]


def test_a_word_has_the_same_number_in_every_process() -> None:
    # Python's own hash of a string is another one in each process.
    ids = small_text.tokenize(Texts(("fine film",))).columns["input_ids"]
    assert ids.tolist() == [[7117, 397]]


def test_a_long_text_is_cut() -> None:
    whole, cut = small_text.tokenize(TEXTS), small_text.tokenize(TEXTS, max_length=3)
    assert torch.equal(cut.columns["input_ids"], whole.columns["input_ids"][:, :3])


def test_padding_does_not_change_a_texts_logits() -> None:
    staged = small_text.build(input_shape=(), outputs=3)
    tokens = small_text.tokenize(TEXTS)
    together = staged.module(tokens[torch.tensor([0, 1])])
    alone = staged.module(tokens[torch.tensor([1])])
    torch.testing.assert_close(together[1:], alone)


def test_a_text_without_words_has_finite_logits() -> None:
    staged = small_text.build(input_shape=(), outputs=3)
    assert staged.module(small_text.tokenize(Texts(("", "  ")))[torch.arange(2)]).isfinite().all()
