"""Train and evaluate with detectron2 and EM-Paste, from a yacs config or a LazyConfig."""

from __future__ import annotations

import argparse
import sys

from empaste_aug.offline.command import run_tool
from empaste_aug.offline.flags import flags_of
from empaste_aug.types import MissingDependencyError

EPILOG = """\
data sets: those of detectron2 are found under $DETECTRON2_DATASETS. Others are registered by
--register, or by the config (DATASETS.REGISTER, or dataloader.register of a LazyConfig):
  NAME=voc:ROOT,split=train          NAME=coco:ROOT,annotations=FILE,images=FOLDER
  NAME=folder:ROOT                   NAME=bank:BANK,images=FOLDER[,min_score=0.5]
voc, coco and folder also take classes=a+b+c, limit=N, skip_bad=yes and check=decode (read every
photo whole at the start, to find truncated ones), voc difficult=count. A bank is trained on as its
own masks on the photos that they were cut from (pseudo-labels).

examples:
  train_net.py --config-file configs/mask_rcnn_R_50_FPN_empaste.yaml \\
      --register pseudo=bank:out/bank,images=VOC2012/JPEGImages \\
      --register val=voc:VOC2012,split=val --batch-size 4 \\
      EMPASTE.BANK out/bank DATASETS.TRAIN "('pseudo',)" DATASETS.TEST "('val',)" \\
      MODEL.ROI_HEADS.NUM_CLASSES 20
  train_net.py --config-file configs/mask_rcnn_R_50_FPN_empaste.py --num-gpus 8 \\
      dataloader.train.mapper.paste.bank=out/bank
  train_net.py --config-file output/config.yaml --eval-only --resume
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line: that of detectron2's own train_net.py, and --register."""
    parser = argparse.ArgumentParser(
        prog="train_net.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config-file",
        required=True,
        metavar="FILE",
        help="yacs (.yaml) or LazyConfig (.py); a file, or a name in detectron2's model zoo",
    )
    parser.add_argument(
        "--register",
        action="append",
        default=[],
        metavar="NAME=KIND:FOLDER[,option=value...]",
        help="make a data set known under this name, see below; repeatable",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help="scale the config's recipe to this total batch: the learning rate with it, the "
        "iterations against it; opts come after",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the last checkpoint in the output folder, if there is one",
    )
    parser.add_argument("--eval-only", action="store_true", help="evaluate, and train nothing")
    parser.add_argument("--num-gpus", type=int, default=1, help="processes on this machine (1)")
    parser.add_argument("--num-machines", type=int, default=1, help="machines in all (1)")
    parser.add_argument("--machine-rank", type=int, default=0, help="which of them this is (0)")
    parser.add_argument(
        "--dist-url",
        default="auto",
        help="where the processes meet, as tcp://HOST:PORT; by default a free port here",
    )
    parser.add_argument(
        "opts",
        nargs=argparse.REMAINDER,
        help="changes to the config, at the end: KEY VALUE ... for yacs, key=value ... for "
        "LazyConfig",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Train or evaluate."""
    parser = build_parser()
    args = parser.parse_args(argv)
    return run_tool(
        lambda: _run(args),
        on_interrupt="interrupted"
        if args.eval_only
        else "interrupted; the same command with --resume goes on from the last checkpoint",
        wording={
            "skip_bad=True (--skip-bad)": "skip_bad=yes in --register",
            "register: '": "--register: '",
        },
        flags=flags_of(parser),
    )


def _run(args: argparse.Namespace) -> int:
    from empaste_aug.training.quiet import ignore_library_warnings

    ignore_library_warnings()
    try:
        from empaste_aug.training.run import RunOptions, run
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "empaste_aug"):
            raise
        raise MissingDependencyError(package, "detectron2", "training") from error

    opts = args.opts[1:] if args.opts[:1] == ["--"] else args.opts
    run(RunOptions(**{**vars(args), "opts": opts}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
