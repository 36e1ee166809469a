"""Metadata, dependencies and the mapping of folders to packages."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


def version() -> str:
    """The version, which is written once, in the package's ``__init__.py``."""
    text = (ROOT / "empaste_aug" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, flags=re.MULTILINE)
    if found is None:
        raise RuntimeError("empaste_aug/__init__.py: no line of the form __version__ = '...'")
    return found.group(1)


# Enough to read a bank and to paste.
CORE = [
    "numpy>=1.26",
    "numba>=0.59",
    "opencv-python-headless>=4.9",
    "simplejpeg>=1.7",
    "zstandard>=0.22",
]

EXTRAS = {
    "torchvision": ["torch>=2.2", "torchvision>=0.17"],
    "albumentations": ["albumentations>=2.0.8,<2.1"],
    # What detectron2 needs. detectron2 itself is not on PyPI under its own name:
    # `python -m empaste_aug.tools.install_detectron2` installs it.
    "detectron2": [
        "torch>=2.2",
        "torchvision>=0.17",
        "setuptools>=77.0.3,<82",  # detectron2's model_zoo imports pkg_resources
        "black",
        "cloudpickle",
        "fvcore>=0.1.5,<0.1.6",
        "hydra-core>=1.1",
        "iopath>=0.1.7,<0.1.10",
        "matplotlib",
        "omegaconf>=2.1,<2.4",
        "packaging",
        "pillow",
        "pycocotools>=2.0.7",
        "scipy",
        "shapely>=2",
        "tabulate",
        "tensorboard",
        "termcolor",
        "tqdm",
        "yacs>=0.1.8",
    ],
    "offline": [
        "torch>=2.2",
        "torchvision>=0.17",
        "accelerate",
        "diffusers>=0.37",
        "grad-cam>=1.5",
        "h5py",
        "higra>=0.6.10",
        "inflect>=7",
        "matplotlib",
        "onnxruntime>=1.20",
        "open_clip_torch>=3",
        "pillow",
        "pyarrow>=15",
        "pycocotools>=2.0.7",
        "pyyaml>=6",
        "scikit-image>=0.22",
        "scikit-learn>=1.4",
        "scipy",
        "timm>=1.0",
        "tqdm",
        "transformers>=5",
    ],
    "ray": ["ray[default]>=2.9"],
    "dev": [
        "hypothesis",
        "mypy>=1.8",
        "pre-commit",
        "pytest>=8",
        "pytest-timeout",
        "ruff>=0.6",
        "types-PyYAML",
        "types-tqdm",
    ],
}
EXTRAS["all"] = sorted(
    {requirement for extra, needs in EXTRAS.items() if extra != "dev" for requirement in needs}
)

setup(
    name="empaste_aug",
    version=version(),
    description="Copy-paste augmentation from image-level labels: F-EM mask banks and a detectron2 "
    "mapper that pastes inside the DataLoader",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    install_requires=CORE,
    extras_require=EXTRAS,
    packages=[
        *find_packages(include=["empaste_aug", "empaste_aug.*"]),
        "empaste_aug.tools",
        "empaste_aug.configs",
    ],
    package_dir={"empaste_aug.tools": "tools", "empaste_aug.configs": "configs"},
    package_data={
        "empaste_aug": ["py.typed"],
        "empaste_aug.configs": ["*.yaml"],
        "empaste_aug.offline.vocabulary": ["data/*.yaml"],
    },
    entry_points={
        "console_scripts": [
            "empaste-build-bank = empaste_aug.tools:run_build_bank",
            "empaste-build-backgrounds = empaste_aug.tools:run_build_backgrounds",
            "empaste-export-dataset = empaste_aug.tools:run_export_dataset",
            "empaste-make-longtail = empaste_aug.tools:run_make_longtail",
            "empaste-merge-bank = empaste_aug.tools:run_merge_bank",
            "empaste-evaluate-bank = empaste_aug.tools:run_evaluate_bank",
            "empaste-preview = empaste_aug.tools:run_preview",
            "empaste-train-classifier = empaste_aug.tools:run_train_classifier",
            "empaste-train-net = empaste_aug.tools:run_train_net",
        ]
    },
    classifiers=[
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    zip_safe=False,
)
