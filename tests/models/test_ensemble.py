import pytest
import torch

from grasp_bench.errors import UserError
from grasp_bench.models import CompactConfig, CompactWorldModel
from grasp_bench.models.ensemble import EnsemblePredictor
from grasp_bench.models.metered import MeteredModel

SMALL = {"keypoints": 2, "encoder_channels": 8, "width": 16, "blocks": 1, "decoder_width": 8}


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = CompactWorldModel(CompactConfig(**SMALL, ensemble=3))
    for member in model.predictor.members:
        torch.nn.init.normal_(member.leave[-1].weight)
    return model


@pytest.fixture
def inputs(model):
    return torch.randn(5, 4, *model.latent_shape), torch.randn(5, 4, model.action_dim)


def test_a_step_is_the_mean_of_the_members(model, inputs):
    answers = torch.stack([member(*inputs) for member in model.predictor.members])
    torch.testing.assert_close(model.step(*inputs), answers.mean(0))


def test_disagreement_is_the_variance_in_the_metric_of_the_goal_cost(model, inputs):
    answers = torch.stack([member(*inputs) for member in model.predictor.members])
    expected = model.distance(answers, answers.mean(0).expand_as(answers)).sum(0) / 2
    torch.testing.assert_close(model.disagreement(*inputs), expected)
    torch.testing.assert_close(MeteredModel(model).disagreement(*inputs), expected)
    for member in model.predictor.members:
        member.load_state_dict(model.predictor.members[0].state_dict())
    assert float(model.disagreement(*inputs).detach().abs().max()) < 1e-10


def test_a_member_that_is_trained_alone_answers_alone_and_learns_alone(model, inputs):
    names = set(model.state_dict())
    with model.predictor.alone(1) as member:
        torch.testing.assert_close(model.step(*inputs), member(*inputs))
        model.step(*inputs).sum().backward()
        assert set(model.state_dict()) == names
    others = [model.predictor.members[0], model.predictor.members[2]]
    assert all(p.grad is None for other in others for p in other.parameters())
    assert all(p.grad is not None for p in member.parameters())


def test_a_single_predictor_has_nothing_to_disagree_with(inputs):
    single = CompactWorldModel(CompactConfig(**SMALL))
    assert not isinstance(single.predictor, EnsemblePredictor)
    with pytest.raises(UserError, match="--ensemble 3"):
        single.disagreement(*inputs)
