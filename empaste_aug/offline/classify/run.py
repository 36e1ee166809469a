"""One training run: head first, then the backbone's last layers; saved after each epoch."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from empaste_aug.offline.classify.loss import MultiLabelLoss
from empaste_aug.offline.classify.metrics import mean_average_precision
from empaste_aug.offline.classify.model import Classifier, load_tensors, save_tensors
from empaste_aug.offline.classify.photos import AugmentedPhotos, LabelledPhotos, PhotoCache
from empaste_aug.offline.classify.recipe import Recipe
from empaste_aug.offline.progress import progress_bar
from empaste_aug.offline.segments import classifier_grey
from empaste_aug.types import ArgumentError

STATE_FILE = "training.pt"


@dataclass
class TrainingRun:
    """One training run; `go` leaves the classifier trained."""

    classifier: Classifier
    recipe: Recipe
    photos: LabelledPhotos
    cache: PhotoCache
    train: NDArray[np.int64]
    val: NDArray[np.int64]
    progress: bool
    state_file: Path | None
    on_epoch: Callable[[dict[str, Any]], None] | None
    workers: int

    def go(self) -> None:
        """Train from the start, or from the state file."""
        recipe, classifier = self.recipe, self.classifier
        self.key = self._key()
        self.device = classifier.device
        self.loss = MultiLabelLoss(self.photos, self.train, recipe.balance, self.device)
        self.best: tuple[float, dict[str, Tensor]] | None = None
        saved = self._resume()
        if saved is None:
            self._train_head()
        tuned = self._tuned_layers()
        optimizer = torch.optim.AdamW(
            [
                {"params": [p for m in tuned for p in m.parameters(recurse=False)]},
                {"params": list(classifier.head.parameters())},
            ],
            weight_decay=recipe.weight_decay,
        )
        if saved:
            optimizer.load_state_dict(saved)
        done = sum(entry["phase"] == "finetune" for entry in classifier.history)
        for epoch in range(done, recipe.epochs):
            loss = self._finetune_epoch(epoch, optimizer, tuned)
            self._finish_epoch("finetune", epoch, loss, optimizer)
        if recipe.keep == "best" and self.best is not None:
            classifier.load_state_dict(self.best[1])
        classifier.requires_grad_(True)

    def _train_head(self) -> None:
        """Phase 1: logistic regression on phi, which is computed once."""
        recipe, classifier = self.recipe, self.classifier
        if recipe.head_epochs == 0:
            return
        phi = self._features(self.train, mirror=True).to(self.device)
        rows = torch.from_numpy(np.tile(self.train, 2))
        optimizer = torch.optim.AdamW(
            classifier.head.parameters(), weight_decay=recipe.weight_decay
        )
        size = 8 * recipe.batch_size
        total = recipe.head_epochs * math.ceil(len(rows) / size)
        step = 0
        mean = 0.0
        for epoch in range(recipe.head_epochs):
            order = np.random.default_rng((recipe.seed, 1, epoch)).permutation(len(rows))
            mean = 0.0
            for start in range(0, len(order), size):
                batch = torch.from_numpy(order[start : start + size])
                _set_rates(optimizer, [recipe.head_learning_rate], step, total)
                loss = self.loss(classifier.logits(phi[batch.to(self.device)]), rows[batch])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                mean += loss.item() * len(batch) / len(order)
                step += 1
        self._finish_epoch("head", recipe.head_epochs - 1, mean, None)

    def _finetune_epoch(
        self, epoch: int, optimizer: torch.optim.Optimizer, tuned: Sequence[nn.Module]
    ) -> float:
        """Phase 2: one pass over the training photos; returns the mean loss."""
        recipe, classifier = self.recipe, self.classifier
        order = self.train[
            np.random.default_rng((recipe.seed, 2, epoch)).permutation(len(self.train))
        ]
        batches = [
            order[i : i + recipe.batch_size].tolist()
            for i in range(0, len(order), recipe.batch_size)
        ]
        views = AugmentedPhotos(
            self.cache,
            size=classifier.input_size,
            min_crop=recipe.min_crop,
            jitter=recipe.jitter,
            erase=recipe.erase,
            grey=classifier_grey(classifier.mean),
            seed=recipe.seed,
            epoch=epoch,
        )
        loader = torch.utils.data.DataLoader(
            views,
            batch_sampler=batches,
            num_workers=self.workers,
            generator=torch.Generator().manual_seed(recipe.seed),
        )
        classifier.eval()
        if not recipe.freeze_norm:
            for module in tuned:
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.train()
        rates = [recipe.learning_rate, recipe.head_learning_rate]
        step, total = epoch * len(batches), recipe.epochs * len(batches)
        mean = 0.0
        with progress_bar(
            loader,
            description=f"epoch {epoch + 1}/{recipe.epochs}",
            unit="batch",
            show=self.progress,
        ) as bar:
            for images, rows in bar:
                _set_rates(optimizer, rates, step, total)
                loss = self.loss(classifier(classifier.normalize(images.to(self.device))), rows)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                mean += loss.item() * len(rows) / len(order)
                step += 1
                bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
        classifier.eval()
        return mean

    def _finish_epoch(
        self, phase: str, epoch: int, loss: float, optimizer: torch.optim.Optimizer | None
    ) -> None:
        """Validate, note, keep the best, write the state."""
        val_map: float | None = None
        if self.val.size:
            with torch.no_grad():
                scores = self.classifier.logits(self._features(self.val).to(self.device)).cpu()
            value = mean_average_precision(
                self.photos.targets[self.val], scores.numpy(), self.photos.known[self.val]
            )
            val_map = None if math.isnan(value) else value
            if val_map is not None and (self.best is None or val_map > self.best[0]):
                self.best = (val_map, _copy(self.classifier))
        entry = {"phase": phase, "epoch": epoch, "loss": loss, "val_map": val_map}
        self.classifier.history.append(entry)
        if self.progress:
            shown = "" if val_map is None else f", val mAP {val_map:.3f}"
            tqdm.write(f"{phase}, epoch {epoch + 1}: loss {loss:.4f}{shown}", file=sys.stderr)
        if self.state_file is not None:
            save_tensors(
                self.state_file,
                {
                    "key": self.key,
                    "state": _copy(self.classifier),
                    "optimizer": None if optimizer is None else optimizer.state_dict(),
                    "history": json.dumps(self.classifier.history),
                    "best_map": None if self.best is None else self.best[0],
                    "best": None if self.best is None else self.best[1],
                },
            )
        if self.on_epoch is not None:
            self.on_epoch(entry)

    def _features(self, indices: NDArray[np.int64], *, mirror: bool = False) -> Tensor:
        """(n, D) phi of whole photos on the CPU, or (2n, D) with their mirror images behind."""
        classifier = self.classifier.eval()
        plain, mirrored = [], []
        with (
            torch.no_grad(),
            progress_bar(
                total=len(indices),
                description="features",
                unit="photo",
                show=self.progress,
                transient=True,
            ) as bar,
        ):
            for start in range(0, len(indices), self.recipe.batch_size):
                chunk = indices[start : start + self.recipe.batch_size]
                images = torch.stack([classifier.preprocess(self.cache[i]) for i in chunk])
                images = images.to(self.device)
                plain.append(classifier.features(images).cpu())
                if mirror:
                    mirrored.append(classifier.features(images.flip(3)).cpu())
                bar.update(len(chunk))
        return torch.cat(plain + mirrored)

    def _tuned_layers(self) -> list[nn.Module]:
        """Leave gradients on for the head and the last share of the backbone's layers alone."""
        layers = [
            m for m in self.classifier.backbone.modules() if list(m.parameters(recurse=False))
        ]
        tuned = layers[len(layers) - round(self.recipe.finetune * len(layers)) :]
        self.classifier.backbone.requires_grad_(False)
        for layer in tuned:
            for parameter in layer.parameters(recurse=False):
                parameter.requires_grad_(True)
        return tuned

    def _key(self) -> str:
        """What a saved state must agree with: recipe, start weights, photos, labels and split."""
        digest = hashlib.sha256(json.dumps(asdict(self.recipe), sort_keys=True).encode())
        digest.update(self.classifier.fingerprint().encode())
        digest.update(json.dumps([i.image_id for i in self.photos.images]).encode())
        for array in (self.photos.targets, self.photos.known, self.train, self.val):
            digest.update(array.tobytes())
        return digest.hexdigest()

    def _resume(self) -> dict[str, Any] | None:
        """Take up the state file: the optimizer's state (empty after the first phase), or None."""
        if self.state_file is None or not self.state_file.exists():
            return None
        try:
            saved = load_tensors(self.state_file)
        except ArgumentError as error:
            print(f"warning: {error}; training starts anew", file=sys.stderr)
            return None
        if saved.get("key") != self.key:
            raise ArgumentError(
                f"work_dir: {self.state_file} holds a run with other photos, labels or options; "
                "give another folder or delete that file"
            )
        self.classifier.load_state_dict(saved["state"])
        self.classifier.history = json.loads(saved["history"])
        if saved["best"] is not None:
            self.best = (saved["best_map"], saved["best"])
        return saved["optimizer"] or {}


def _set_rates(
    optimizer: torch.optim.Optimizer, rates: Sequence[float], step: int, total: int
) -> None:
    """Linear warm-up over the first twentieth of the steps, then a half cosine to zero."""
    warm = max(1, total // 20)
    factor = min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / total))
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = factor * rate


def _copy(classifier: Classifier) -> dict[str, Tensor]:
    return {k: v.detach().cpu().clone() for k, v in classifier.state_dict().items()}
