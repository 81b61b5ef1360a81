"""f-VAEGAN-D2 against its public code: `golden_baselines/fvaegan_d2.npz`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neurozsl.models.baselines.fvaegan_nets import (
    Critic,
    Generator,
    LatentEncoder,
    critic_terms,
    latent_sample,
    vae_terms,
)
from neurozsl.models.baselines.softmax_classifier import (
    SoftmaxClassifier,
    fit_classifier,
    mean_recall,
    recalls,
)
from tests.models.baselines.golden import GRADIENT, Golden, close, open_golden

NAMES = {
    "MLP.L0": "hidden",
    "MLP.L1": "out",
    "linear_means": "mean",
    "linear_log_var": "log_var",
    "fc1": "hidden",
    "fc2": "out",
}


@pytest.fixture(scope="module")
def golden(shared_data: Path) -> Golden:
    return open_golden(shared_data, "fvaegan_d2", NAMES)


def net(golden: Golden, stored: str, module: nn.Module) -> Any:
    module.double().load_state_dict(golden.renamed(f"{stored}/"))
    return module


def same_norms(module: nn.Module, golden: Golden, stored: str) -> None:
    """Norm and sum of every gradient equal the stored ones."""
    norms, sums = golden.renamed(f"{stored}_norm/"), golden.renamed(f"{stored}_sum/")
    own = dict(module.named_parameters())
    assert own.keys() == norms.keys() == sums.keys()
    for name, parameter in own.items():
        assert parameter.grad is not None, name
        assert close(parameter.grad.norm(), norms[name], GRADIENT), name
        assert close(parameter.grad.sum(), sums[name], GRADIENT), name


def real(golden: Golden) -> Tensor:
    """Sound first, then pictures, unit length."""
    return nn.functional.normalize(torch.cat([golden["in/audio"], golden["in/video"]], 1))


def critics(golden: Golden, when: str = "") -> tuple[Critic, Critic]:
    d, d2 = Critic(24, 12, 16), Critic(24, 0, 16)
    return net(golden, f"w_D{when}", d), net(golden, f"w_D2{when}", d2)


def test_golden_baselines_fvaegan_critics_penalties_and_their_gradients(golden: Golden) -> None:
    x, words = real(golden), golden["in/text"]
    assert close(x, golden["train/x_real"])
    generator = net(golden, "w_G", Generator(12, 12, 16, 24))
    fake = generator(golden["in/noise"], words)
    assert close(fake, golden["train/x_fake"])
    d, d2 = critics(golden)
    for name, critic, given, share in (
        ("D", d, words, golden["in/alpha_D"]),
        ("D2", d2, None, golden["in/alpha_D2"]),
    ):
        terms = critic_terms(critic, x, fake, given, share, penalty=10.0)
        assert close(terms.real, golden[f"loss/{name}_real"])
        assert close(terms.fake, golden[f"loss/{name}_fake"])
        assert close(terms.penalty, golden[f"loss/{name}_gp"])
        assert close(terms.cost, golden[f"loss/{name}_cost"])
        key = "loss/wasserstein_D" if name == "D" else "loss/wasserstein_D2"
        assert close(terms.real - terms.fake, golden[key])
        terms.cost.backward()  # type: ignore[no-untyped-call]
        same_norms(critic, golden, f"grad_{name}")
    assert all(p.grad is None for p in generator.parameters())


def test_golden_baselines_fvaegan_critics_after_their_step_of_adam(golden: Golden) -> None:
    x, words = real(golden), golden["in/text"]
    fake = net(golden, "w_G", Generator(12, 12, 16, 24))(golden["in/noise"], words)
    for critic, after, given, share in zip(
        critics(golden),
        critics(golden, "_after_step"),
        (words, None),
        (golden["in/alpha_D"], golden["in/alpha_D2"]),
        strict=True,
    ):
        adam = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.999))
        cost = critic_terms(critic, x, fake, given, share, penalty=10.0).cost
        cost.backward()  # type: ignore[no-untyped-call]
        adam.step()
        for (name, found), expected in zip(
            critic.named_parameters(), after.parameters(), strict=True
        ):
            if name != "out.bias":  # its gradient is 0 but for rounding, which Adam makes a step of
                assert close(found, expected)


@pytest.mark.parametrize("when", ["before", "after"])
def test_golden_baselines_fvaegan_vae_and_generator(golden: Golden, when: str) -> None:
    x, words = real(golden), golden["in/text"]
    generator = net(golden, "w_G", Generator(12, 12, 16, 24))
    encoder = net(golden, "w_E", LatentEncoder(24, 12, 12))
    d, _ = critics(golden, "_after_step" if when == "after" else "")
    mean, log_var = encoder(x, words)
    assert close(mean, golden["train/mean"])
    assert close(log_var, golden["train/log_var"])
    rebuilt = generator(latent_sample(mean, log_var, golden["in/eps_vae"]), words)
    assert close(rebuilt, golden["train/x_rec"])
    vae = vae_terms(rebuilt, x, mean, log_var)
    loss = f"loss_{when}_D_step"
    assert close(vae.bce, golden[f"{loss}/bce"])
    assert close(vae.kld, golden[f"{loss}/kld"])
    assert close(vae.bce + vae.kld, golden[f"{loss}/vae"])
    from_x, from_noise = d(rebuilt, words).mean(), d(generator(golden["in/noise"], words), words)
    assert close(from_x, golden[f"{loss}/G_adv_rec"])
    assert close(from_noise.mean(), golden[f"{loss}/G_adv_noise"])
    cost = -from_x - from_noise.mean()
    assert close(cost, golden[f"{loss}/G_cost"])
    total = 1e5 * cost + vae.bce + vae.kld
    assert close(total, golden[f"{loss}/G_total"])
    total.backward()
    same_norms(generator, golden, f"grad_{when}_D_step_G")
    same_norms(encoder, golden, f"grad_{when}_D_step_E")


def test_golden_baselines_fvaegan_classifiers_over_all_their_epochs(golden: Golden) -> None:
    lr, beta1, epochs, size = golden["clf/hyper_lr_beta1_epochs_batch"].tolist()
    assert beta1 == 0.5
    mapped = zip(golden["clf/map_from"].tolist(), golden["clf/map_to"].tolist(), strict=True)
    places = dict(mapped)

    def place(key: str) -> Tensor:
        return torch.tensor([places[int(c)] for c in golden[key]])

    seen, unseen = place("clf/seen_ids"), place("clf/unseen_ids")
    x, y = golden["clf/train_X"], place("clf/train_Y_original")
    test_x, test_y = golden["clf/test_X"], place("clf/test_Y_original")
    how: dict[str, Any] = {"epochs": int(epochs), "batch": int(size), "lr": lr}

    # both: real rows of seen classes and generated ones of unseen classes, best HM, last of ties
    told: list[list[float]] = []

    def judge(classifier: SoftmaxClassifier) -> float:
        found = recalls(classifier(nn.functional.normalize(test_x)), test_y, seen, unseen)
        told.append([found.hm, found.unseen, found.seen])
        return found.hm

    classifier = SoftmaxClassifier(6, 5).double()
    with torch.no_grad():
        classifier.weight.copy_(golden["clf/w0"])
    best = fit_classifier(
        classifier, x, y, order=golden["clf/perm"], judge=judge, ties="last", **how
    )
    assert close(torch.tensor(told, dtype=torch.float64), golden["clf/gzsl_hm_u_s_per_epoch"])
    hm, s, u = golden["clf/gzsl_best_hm_s_u"].tolist()
    assert [best, told[-1][2], told[-1][1]] == pytest.approx([hm, s, u])
    # The best epoch is the last one, so what is left is what the public code ends with.
    assert close(classifier.weight, golden["clf/gzsl_w_final"])
    assert close(classifier.bias, golden["clf/gzsl_b_final"])

    # unseen classes alone: generated rows, best mean recall, first of ties
    only, test_only = torch.isin(y, unseen), torch.isin(test_y, unseen)
    told_zsl: list[float] = []

    def judge_zsl(classifier: SoftmaxClassifier) -> float:
        scores = classifier(nn.functional.normalize(test_x[test_only]))
        told_zsl.append(mean_recall(scores, test_y[test_only] - 3, torch.arange(2)))
        return told_zsl[-1]

    own = SoftmaxClassifier(6, 2).double()
    with torch.no_grad():
        own.weight.copy_(golden["clf/w0"][:2])
    best = fit_classifier(
        own, x[only], y[only] - 3, order=golden["clf/zsl_perm"], judge=judge_zsl, **how
    )
    assert close(torch.tensor(told_zsl).double(), golden["clf/zsl_acc_per_epoch"])
    assert best == pytest.approx(float(golden["clf/zsl_best"]))
    last = SoftmaxClassifier(6, 2).double()
    with torch.no_grad():
        last.weight.copy_(golden["clf/w0"][:2])
    fit_classifier(last, x[only], y[only] - 3, order=golden["clf/zsl_perm"], **how)
    assert close(last.weight, golden["clf/zsl_w_final"])
    assert close(last.bias, golden["clf/zsl_b_final"])


def test_critics_and_networks_of_golden_baselines_have_the_published_parameters() -> None:
    nets: dict[str, tuple[nn.Module, int]] = {
        "E": (LatentEncoder(1024, 300, 300), 578_100),
        "G": (Generator(300, 300, 512, 1024), 833_024),
        "D": (Critic(1024, 300, 512), 678_913),
        "D2": (Critic(1024, 0, 512), 525_313),
    }
    counted = {name: sum(p.numel() for p in n.parameters()) for name, (n, _) in nets.items()}
    assert counted == {name: expected for name, (_, expected) in nets.items()}
    for critic in (nets["D"][0], nets["D2"][0]):
        assert isinstance(critic, Critic)
        assert float(critic.hidden.weight.detach().std()) == pytest.approx(0.02, rel=0.02)
        assert not critic.hidden.bias.any() and not critic.out.bias.any()


def test_mean_recall_weighs_classes_and_not_rows() -> None:
    scores = torch.tensor([[2.0, 1.0], [2.0, 1.0], [1.0, 2.0], [0.0, 1.0]])
    place = torch.tensor([0, 0, 0, 1])
    assert mean_recall(scores, place, torch.tensor([0, 1])) == pytest.approx((2 / 3 + 1) / 2)
