"""Models of other libraries by folder or hub name: where they are, what they are, what fails."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from empaste_aug.bank.files import sha256_of
from empaste_aug.types import ArgumentError, EMPasteError, MissingDependencyError

if TYPE_CHECKING:
    import torch

MODEL_FILES = frozenset({".json", ".safetensors", ".bin", ".pt", ".pth", ".txt", ".model"})
"""Suffixes of the files of a local folder that make up a model."""

DTYPES = ("auto", "float32", "bfloat16", "float16")
"""What `torch_dtype` takes."""

TRANSFORMERS_INDEX = "config.json"
DIFFUSERS_INDEX = "model_index.json"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model's local folder, or its name on the Hugging Face hub.

    Attributes:
        model: as the user gave it.
        index: the file that every such model has.
        folder: None for a name on the hub.
        revision: of a hub model, a branch, tag or commit.
        local_files_only: take a hub model from the local cache alone; never download.
    """

    model: str
    index: str
    folder: Path | None
    revision: str | None = None
    local_files_only: bool = False

    @classmethod
    def find(
        cls,
        model: str | Path,
        index: str,
        *,
        revision: str | None = None,
        local_files_only: bool = False,
    ) -> ModelSource:
        """Check a folder; a name on the hub is only looked up when it is needed.

        Raises:
            ArgumentError: `model` is empty, a file, a path that does not exist, or a folder
                without `index`; or a folder is given a revision.
        """
        path = Path(model)
        if not str(model):
            raise ArgumentError("model: is empty; a folder or a hub name is needed")
        if path.is_file():
            raise ArgumentError(f"model: {path} is a file; a folder or a hub name is needed")
        folder = path if path.is_dir() else None
        if folder is None and (
            isinstance(model, Path) or path.is_absolute() or str(model).startswith((".", "~"))
        ):
            raise ArgumentError(f"model: the folder {path} does not exist")
        if folder is not None and not (folder / index).is_file():
            raise ArgumentError(f"model: the folder {folder} holds no {index}")
        if folder is not None and revision is not None:
            raise ArgumentError(f"revision: {model} is a local folder, which has none")
        return cls(str(model), index, folder, revision, local_files_only)

    def identity(self) -> dict[str, str]:
        """What a model is known by: the hash of a folder's files, or a hub model's commit.

        Raises:
            ArgumentError: the hub has no such model or revision, or cannot be reached.
        """
        if self.folder is not None:
            return {"sha256": hash_of_folder(self.folder)}
        return {"commit": self.commit()}

    def commit(self) -> str:
        """The commit that a hub model's name and revision stand for.

        Raises:
            ArgumentError: the hub has no such model or revision, or cannot be reached.
        """
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            path = hf_hub_download(
                self.model,
                self.index,
                revision=self.revision,
                local_files_only=self.local_files_only,
            )
        except (OSError, ValueError, EntryNotFoundError) as error:
            at = "" if self.revision is None else f" at {self.revision!r}"
            raise ArgumentError(
                f"model: {self.model!r}{at} is neither a folder nor to be had from the hub: "
                f"{_first_line(error)}"
            ) from error
        return Path(path).parent.name  # the cache keeps each commit in a folder of that name

    def arguments(self) -> dict[str, Any]:
        """What a library's `from_pretrained` takes beside the name.

        Raises:
            ArgumentError: as `commit`.
        """
        if self.folder is not None:
            return {"local_files_only": True}
        return {"revision": self.commit(), "local_files_only": self.local_files_only}


def hash_of_folder(folder: Path) -> str:
    """SHA-256 of the relative names and the contents of a model's files, subfolders included."""
    digest = hashlib.sha256()
    files = (p for p in folder.rglob("*") if p.suffix in MODEL_FILES and p.is_file())
    for path in sorted(files, key=lambda p: p.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()


@contextmanager
def loading(model: str, purpose: str) -> Iterator[None]:
    """Turn whatever the libraries underneath raise while a model is read into one clear error.

    Raises:
        ArgumentError: something was raised; want of memory and this package's own errors pass.
    """
    import torch

    try:
        yield
    except (EMPasteError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # each library underneath has its own
        raise ArgumentError(
            f"model: {model} cannot be loaded as {purpose}: {_first_line(error)}"
        ) from error


def require(packages: tuple[str, ...], purpose: str) -> None:
    """Check, without importing them, that packages are installed.

    Raises:
        MissingDependencyError: one is not.
    """
    for package in packages:
        if find_spec(package) is None:
            raise MissingDependencyError(package, "offline", purpose)


def torch_dtype(name: str, device: torch.device) -> torch.dtype:
    """The floating point type of this name; "auto" is the best half on a GPU, float32 elsewhere.

    The best half is bfloat16 where the device computes with it, otherwise float16, whose narrow
    range makes some networks give NaN.

    Raises:
        ArgumentError: an unknown name, or float16 on a CPU.
    """
    import torch

    if name not in DTYPES:
        raise ArgumentError(f"dtype: must be one of {DTYPES}, got {name!r}")
    if name == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if name == "float16" and device.type == "cpu":
        raise ArgumentError("dtype: float16 is not for the CPU; take bfloat16 or float32")
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def check_count(name: str, value: int, low: int = 1) -> int:
    """A whole number that is at least `low`.

    Raises:
        ArgumentError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ArgumentError(f"{name}: must be a whole number, at least {low}, got {value!r}")
    return value


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
