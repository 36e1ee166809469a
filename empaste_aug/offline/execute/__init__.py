"""Where the work on photos is done: pure tasks, run by processes here or by a Ray cluster.

`PhotoStage.run` cuts its photos into tasks and gives them to an `Executor`. A task writes files
that depend on nothing but the photo and the options, each whole or not at all. So it does not
matter who runs it, nor how often: the files are the same bytes from one process, from several, from
a cluster that loses a node, and from a run that was killed and started again.
"""

from empaste_aug.offline.execute.choice import EXECUTORS, make_executor
from empaste_aug.offline.execute.local import LocalExecutor
from empaste_aug.offline.execute.on_ray import RayExecutor
from empaste_aug.offline.execute.protocol import Executor
from empaste_aug.offline.execute.shard import Shard
from empaste_aug.offline.execute.tasks import ShardTask, run_shard

__all__ = [
    "EXECUTORS",
    "Executor",
    "LocalExecutor",
    "RayExecutor",
    "Shard",
    "ShardTask",
    "make_executor",
    "run_shard",
]
