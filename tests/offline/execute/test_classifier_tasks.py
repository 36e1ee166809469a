"""Stages that run the classifier, as tasks: it goes by its file, and the results are the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("timm")

from executor_stages import SerialExecutor, files_of, make_photos

from empaste_aug import EMPasteError
from empaste_aug.offline.classify import Classifier
from empaste_aug.offline.execute import LocalExecutor, ShardTask, run_shard, tasks
from empaste_aug.offline.stages.base import PhotoStage
from empaste_aug.offline.stages.cache import Arrays
from empaste_aug.offline.stages.photos import Photo

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"  # pycocotools with numpy 2
)


class LogitStage(PhotoStage):
    """Per photo its logits."""

    name = "logits"

    def __init__(self, work: Path, classifier: Classifier) -> None:
        self.classifier = classifier
        super().__init__(work, {"classifier": classifier.fingerprint()})

    def compute(self, photo: Photo) -> Arrays:
        with torch.no_grad():
            logits = self.classifier(self.classifier.preprocess(photo.read())[None])
        return {"logits": logits.numpy()}


@pytest.fixture
def classifier() -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Classifier.create(
            ["a", "b"], backbone="timm/test_efficientnet", pretrained=None, input_size=32
        )
        torch.nn.init.normal_(made.head.weight)
    return made


def test_a_classifier_goes_by_its_file(tmp_path: Path, classifier: Classifier) -> None:
    photos = make_photos(tmp_path / "photos", 3)
    here = LogitStage(tmp_path / "here", classifier)
    here.run(photos, progress=False)
    there = LogitStage(tmp_path / "there", classifier)
    there.executor = SerialExecutor()
    there.run(photos, progress=False)
    assert files_of(there.cache.folder) == files_of(here.cache.folder)
    packed = tasks.pack_stage(there, there.cache.work)
    assert len(packed) < 5000
    (file,) = (tmp_path / "there" / "classifier").iterdir()

    other = Classifier.create(
        ["a", "b"], backbone="timm/test_efficientnet", pretrained=None, input_size=32
    )
    other.save(file)
    tasks._open_stage.cache_clear()
    tasks._load_classifier.cache_clear()
    with pytest.raises(EMPasteError, match="not the classifier that the build started with"):
        run_shard(ShardTask(packed, tuple(photos)))


def test_real_stages_in_processes_give_the_same_bytes(
    tmp_path: Path, classifier: Classifier
) -> None:
    from empaste_aug.offline.stages.cams import CamStage

    photos = make_photos(tmp_path / "photos", 4)
    found = []
    for executor in (None, LocalExecutor(1)):
        work = tmp_path / str(len(found))
        stage = CamStage(
            work, classifier, ["a", "b"], threshold=0.5, component="all", sizes=None, threads=2
        )
        stage.executor = executor
        assert stage.run(photos, progress=False).computed == 4
        found.append(files_of(work / "cams"))
    assert found[0] == found[1]
