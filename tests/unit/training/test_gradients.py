"""How many tokens a micro-batch may hold."""

from ptft.training.gradients import TokenBudget


def test_a_batch_that_fits_at_once_is_not_cut():
    budget = TokenBudget(whole=1000, parts=300)
    assert [budget.of(tokens) for tokens in (900, 1000, 1001)] == [1000, 1000, 300]
    assert budget.limited(500) == TokenBudget(500, 300)
    assert budget.limited(200) == TokenBudget(200, 200)
