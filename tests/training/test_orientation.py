import torch

from grasp_bench.training.pose.orientation import directions


def bent_circle(count, noise):
    """Codes [N, 12] along a closed curve that bends through all dimensions, and the angles."""
    generator = torch.Generator().manual_seed(3)
    # Some orientations are four times as frequent as others.
    angle = 2 * torch.pi * torch.rand(count, generator=generator)
    angle = angle + 0.6 * torch.sin(angle)
    waves = [f(k * angle) / k for k in (1, 2, 3) for f in (torch.cos, torch.sin)]
    mixing = torch.randn(6, 12, generator=generator)
    codes = torch.stack(waves, -1) @ mixing
    return codes + noise * torch.randn(codes.shape, generator=generator), angle


def test_directions_turn_once_as_the_codes_go_around_and_never_back():
    codes, angle = bent_circle(3_000, noise=0.02)
    turned, sure = directions(codes, landmarks=1_000, seed=0)
    torch.testing.assert_close(turned.norm(dim=-1), torch.ones(len(codes)))
    assert (sure > 0.5).float().mean() > 0.99
    found = torch.atan2(turned[:, 1], turned[:, 0])
    ordered = found[angle.remainder(2 * torch.pi).argsort()]
    # 3000 steps around: a smoothed walk goes one way, and once around in all.
    steps = torch.diff(ordered[::30], append=ordered[:1])
    steps = torch.atan2(steps.sin(), steps.cos())
    assert (steps > 0).all() or (steps < 0).all()
    torch.testing.assert_close(steps.sum().abs(), torch.tensor(2 * torch.pi), atol=1e-3, rtol=0)


def test_the_same_codes_give_the_same_directions():
    codes, _ = bent_circle(500, noise=0.05)
    first, second = (directions(codes, landmarks=300, seed=1)[0] for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
