"""The one place that talks to the hub: which commit a branch means, which files a split is made of.

Everything goes through huggingface_hub, so HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE mean what they mean
everywhere, and what was downloaded once is read from the cache. Libraries are imported where they are used: a study
whose commits are pinned is planned without them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from xstilts.errors import UserError, did_you_mean

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.parquet$")
_CONVERTED = "refs/convert/parquet"
_FOLDER = "or read it from a folder: source: files with data: FOLDER"
_TIMEOUT = 10.0
"""Seconds to wait for an answer of the hub."""


@cache
def commit_of(dataset: str, revision: str) -> str:
    """The commit (40 hex digits) that `revision` means. A commit is itself, without asking anybody.

    A branch or tag is asked of the hub once per process; out of its reach, or with HF_HUB_OFFLINE=1, it means the
    commit it had when last asked. Raises `UserError` when the hub is out of reach or knows no such thing.
    """
    if _COMMIT.fullmatch(revision):
        return revision
    with _hub(dataset, revision):
        from huggingface_hub import HfApi

        return HfApi().resolve_revision(dataset, repo_type="dataset", revision=revision).resolved


def parquet_files(dataset: str, commit: str, config: str, split: str) -> list[Path]:
    """The parquet files of one split, downloaded where the cache lacks them, in the order of their names.

    Where they lie is read from the data set's card; where it does not say, they are looked for at
    `CONFIG/SPLIT/*.parquet`, as the hub's own conversions of loading scripts (branch refs/convert/parquet) have them,
    and at `CONFIG/SPLIT-*.parquet` (`data/SPLIT-*.parquet` for `default`), as `datasets` writes them. Raises
    `UserError` when there is no such configuration or split, no parquet, or the hub is out of reach.
    """
    where = f"{dataset}@{commit[:12]}"
    patterns = _patterns(dataset, commit, config, split, where)
    folder = _snapshot(dataset, commit, patterns)
    found = sorted(path for path in folder.rglob("*") if path.is_file() and _matches(path, folder, patterns))
    if not found:
        remedy = f"loading scripts are never run; many have their parquet files on the branch {_CONVERTED}"
        raise UserError(f"holds no parquet files at {', '.join(patterns)}", file=where, remedy=remedy)
    if other := next((path for path in found if path.suffix != ".parquet"), None):
        raise UserError(f"{other.name} is not parquet, and nothing else is read", file=where)
    shards = {match[2] for path in found if (match := _SHARD.search(path.name))}
    if shards and (len(shards) > 1 or len(found) != int(shards.pop())):
        raise UserError(f"{len(found)} files at {', '.join(patterns)}, not as many as their names say", file=where)
    return found


def card(dataset: str, commit: str) -> dict[str, Any]:
    """The data set's metadata: the YAML head of its README; empty where it has none."""
    readme = _snapshot(dataset, commit, ["README.md"]) / "README.md"
    if not readme.is_file():
        return {}
    from huggingface_hub.repocard import metadata_load

    return metadata_load(readme) or {}


def _patterns(dataset: str, commit: str, config: str, split: str, where: str) -> list[str]:
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    try:
        configs = MetadataConfigs.from_dataset_card_data(DatasetCardData(**card(dataset, commit)))
    except (TypeError, ValueError) as error:
        raise UserError(f"its card cannot be read ({str(error).strip().splitlines()[0]})", file=where) from None
    if not configs:
        return [f"{config}/{split}/*.parquet", f"{'data' if config == 'default' else config}/{split}-*.parquet"]
    from datasets.data_files import sanitize_patterns

    if config == "default" and len(configs) == 1:
        (config,) = configs
    if config not in configs:
        raise UserError(f"has no configuration {config!r}", file=where, remedy=did_you_mean(config, configs))
    splits = sanitize_patterns(configs[config].get("data_files") or {})
    if split not in splits:
        raise UserError(
            f"configuration {config!r} has no split {split!r}",
            file=where,
            remedy=f"it has {', '.join(splits) or 'none'}",
        )
    return [str(pattern) for pattern in splits[split]]


def _matches(path: Path, folder: Path, patterns: list[str]) -> bool:
    return any(fnmatch(path.relative_to(folder).as_posix(), pattern) for pattern in patterns)


def _snapshot(dataset: str, commit: str, patterns: list[str]) -> Path:
    """The folder with those files of a commit that match; from the cache, if all of them are there."""
    with _hub(dataset, commit):
        from huggingface_hub import HfApi, snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        def snapshot(local: bool) -> Path:
            return Path(
                snapshot_download(
                    dataset,
                    repo_type="dataset",
                    revision=commit,
                    allow_patterns=patterns,
                    local_files_only=local,
                    etag_timeout=_TIMEOUT,
                )
            )

        try:
            folder = snapshot(local=True)
            if _tree_is_known(dataset, commit):
                return folder
        except LocalEntryNotFoundError:
            pass
        # asked first because it fails at once, where a download tries again for half a minute
        HfApi().dataset_info(dataset, revision=commit, timeout=_TIMEOUT)
        return snapshot(local=False)


def _tree_is_known(dataset: str, commit: str) -> bool:
    """Whether the cache knows which files the commit has, without which it cannot tell if any is missing."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        get_cached_repo_tree(dataset, repo_type="dataset", revision=commit)
    except CachedRepoTreeNotFoundError:
        return False
    return True


@contextmanager
def _hub(dataset: str, revision: str) -> Iterator[None]:
    """Every refusal of the hub, and its absence, in one line; no progress bars and no log lines of the libraries."""
    from huggingface_hub import errors
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # that of the HTTP library it uses
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    for library in ("huggingface_hub", "datasets", "fsspec", "httpx2"):
        logging.getLogger(library).setLevel(logging.ERROR)
    where = f"{dataset}@{revision}"
    try:
        yield
    except errors.GatedRepoError:
        remedy = f"ask for access on its page and set HF_TOKEN, {_FOLDER}"
        raise UserError("this data set is gated", file=where, remedy=remedy) from None
    except errors.RevisionNotFoundError:
        raise UserError("the data set has no such revision", file=where, remedy=_FOLDER.removeprefix("or ")) from None
    except errors.RepositoryNotFoundError:
        remedy = f"check its name and, if it is private, HF_TOKEN, {_FOLDER}"
        raise UserError("the hub has no such data set", file=where, remedy=remedy) from None
    except (HTTPError, errors.RevisionResolutionError, OSError, ValueError) as error:
        raise UserError(
            f"the Hugging Face hub cannot be read ({_reason(error)})", file=where,
            remedy=f"set HF_ENDPOINT, or HF_HOME to a cache that holds it, {_FOLDER}",
        ) from None  # fmt: skip


def _reason(error: BaseException) -> str:
    """The first line of the error that began it all, at most 100 characters."""
    while error.__cause__ is not None:
        error = error.__cause__
    if type(error).__name__ == "OfflineModeIsEnabled":
        return "HF_HUB_OFFLINE is set and the cache lacks it"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:100]
