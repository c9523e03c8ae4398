"""What is not claimed, why, and what may be done instead: 17 refusals by number.

Figures called simulated were simulated for this project; docs/confirmation.md tells how. Texts
avoid the words of a verdict, so that they may be shown in a report of search data.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.verdict.evidence import Doubt

# What a second confirmation of the same question takes.
NEW_NAME = (
    "A new name gives a study new confirmation seeds; another search.seed also gives it another"
    " test split, unless the data set has a fixed one."
)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One thing that is not claimed.

    Attributes:
        forbidden: What, as a noun phrase.
        because: Why, as a sentence.
        instead: What may be done, as a sentence.
    """

    number: int
    forbidden: str
    because: str
    instead: str


class ClaimError(ValueError):
    """Something was asked for that must not be claimed.

    Attributes:
        rule: Number of the refusal.
    """

    def __init__(self, rule: int, found: str) -> None:
        refusal = REFUSALS[rule]
        super().__init__(
            f"{found} Refused (rule {rule}: {refusal.forbidden}). "
            f"{refusal.because} {refusal.instead}"
        )
        self.rule = rule


REFUSALS: dict[int, Refusal] = {
    refusal.number: refusal
    for refusal in (
        Refusal(
            number=1,
            forbidden="a first place from best single trials or from search values",
            because="The best of many trials grows with their number: of two identical strategies"
            " with 60 and 20 trials the one with more came first in 75 % of simulated searches.",
            instead="Confirm the chosen configurations on fresh shared seeds.",
        ),
        Refusal(
            number=2,
            forbidden="a selection on the test split",
            because="A test value that was picked among several of one strategy is biased upwards.",
            instead="Select on validation data; test one configuration per strategy, once.",
        ),
        Refusal(
            number=3,
            forbidden="group means or tests over adaptively sampled trials",
            because="A sampler that follows its results visits good regions more often: equal"
            " strategies got 5 to 41 trials and means of -10.4 and -1.1 in a simulated search.",
            instead="List counts and best values, or search with the random sampler.",
        ),
        Refusal(
            number=4,
            forbidden="a comparison at unequal search budgets",
            because="More trials find a higher maximum, whatever the strategy.",
            instead="Give every strategy the same number of trials, or show curves over the"
            " budget.",
        ),
        Refusal(
            number=5,
            forbidden="pruned trials dropped silently, or scored by their intermediate value",
            because="A pruner that compares early epochs stops slow starters: 90 % of one"
            " strategy's trials against 49 % of the other's in a simulation, which put the wrong"
            " one first.",
            instead="Count pruned trials as pruned, and confirm without pruning.",
        ),
        Refusal(
            number=6,
            forbidden="diverged, failed or missing runs left out",
            because="What is left is a selection of the runs that went well.",
            instead="Finish every planned run; one that diverged or failed counts with the worst"
            " value.",
        ),
        Refusal(
            number=7,
            forbidden="uncorrected p values of pairs, too few seeds for any p value below alpha, or"
            " a large p value read as 'equal'",
            because="With many pairs some p value is small by chance; with few seeds none can be"
            " small enough; and a test that finds nothing has shown nothing.",
            instead="Correct statements about pairs over all of them, take at least the seeds that"
            " the floor asks for, and show equivalence by a test of its own.",
        ),
        Refusal(
            number=8,
            forbidden="seeds, folds or epochs treated as data sets",
            because="They vary the training on one data set and say nothing about another one.",
            instead="Claim it for this data set, or repeat the comparison on 6 or more data sets"
            " (7 for statements about the pairs of 3 strategies).",
        ),
        Refusal(
            number=9,
            forbidden="unpaired tests on shared seeds, or pairs of runs whose seeds or test samples"
            " differ",
            because="Runs of one seed share their data and its order; other differences also"
            " contain the differences between seeds and samples.",
            instead="Run every configuration on the same seeds and the same test samples.",
        ),
        Refusal(
            number=10,
            forbidden="seeds added after the results were seen",
            because="Adding seeds until a p value is small finds a difference between identical"
            " strategies in 22 % of simulated studies, not in 5 %.",
            instead="Keep to the seeds that were planned, plan a second look beforehand"
            f" (confirm.looks: 2), or confirm under a new name. {NEW_NAME}",
        ),
        Refusal(
            number=11,
            forbidden="error bars of unknown kind, or beyond the metric's bounds",
            because="SD, SEM and confidence intervals differ by factors, and a value beyond the"
            " bounds cannot occur.",
            instead="Say what the bar shows, of how many values, what varies between them, and cut"
            " it at the bounds.",
        ),
        Refusal(
            number=12,
            forbidden="expected-maximum curves from a search that is not random",
            because="The formula assumes independent draws.",
            instead="Show the best value so far, or search with the random sampler, and use the"
            " unbiased estimator (Tang et al. 2020).",
        ),
        Refusal(
            number=13,
            forbidden="importances without evaluator, number of trials and interval",
            because="Evaluators disagree: on the same simulated studies the optimizer's importance"
            " was 0.02 by PED-ANOVA and 0.56 by fANOVA.",
            instead="Name the evaluator and the number of trials, and bootstrap the interval.",
        ),
        Refusal(
            number=14,
            forbidden="words about a strategy from one search or one data set",
            because="Another search of the same strategy may choose another configuration.",
            instead="Claim it for this configuration, or repeat the search 5 times or more.",
        ),
        Refusal(
            number=15,
            forbidden="an optimum on the boundary of the space without a warning in the caption",
            because="The true optimum may lie outside the space.",
            instead="Name the knob and its bound in the caption, or widen the range.",
        ),
        Refusal(
            number=16,
            forbidden="commits, data, packages or hardware mixed without a flag",
            because="A difference may then come from them.",
            instead="Show the flag with the verdict, or run again in one environment.",
        ),
        Refusal(
            number=17,
            forbidden="bold or underlined values without a stated rule",
            because="A reader takes them for a claim.",
            instead="State the rule, for example 'Bold: best mean. Underlined: not separated from"
            " it.'",
        ),
    )
}


def because(rule: int, word: str | None, found: str) -> Doubt:
    """What was found, with the reason of a refusal, as a sentence or two for the author.

    Args:
        rule: Number of the refusal.
        word: The verdict that it decides; None for a flag.
        found: A sentence with the names and numbers.
    """
    return Doubt(rule=rule, word=word, text=f"{found} {REFUSALS[rule].because}", found=found)
