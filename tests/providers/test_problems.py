"""What is wrong with providers.yaml is told by its channel, whatever stands there."""

from actions.providers.registry import provider_problems


def test_a_block_of_a_wrong_type_is_a_problem_and_no_fault() -> None:
    blocks = {"email": {"provider": {}}, "sms": {"provider": []}, "webhook": 5}
    assert [problem.place for problem in provider_problems(blocks)] == ["email", "sms", "webhook"]
    assert provider_problems("smtp") == provider_problems([]) == []
