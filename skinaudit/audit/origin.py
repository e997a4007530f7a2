"""Where the numbers of a run come from: versions, machine, and the command that computes them again."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
from collections.abc import Sequence

import torch

from skinaudit.config import PRESETS, AuditConfig, Norm


def command(
    config: AuditConfig,
    *,
    labels: bool,
    id_key: bool,
    model: Sequence[str] = (),
    subgroups: Sequence[str] = (),
) -> str:
    """The command of a run, with words in capitals for the paths of a site.

    Args:
        config: its settings.
        labels: whether labels were given.
        id_key: whether a key for image ids was named.
        model: options that describe the model.
        subgroups: label columns of subgroups, or the word that says that there are none.
    """
    threat = config.threat
    levels = threat.epsilon_levels
    whole = abs(levels / 255 - threat.epsilon) < 1e-12
    parts = ["skinaudit audit MODEL IMAGES", *model]
    parts += ["--labels LABELS"] if labels else []
    parts += [f"--subgroup {shlex.quote(name)}" for name in subgroups]
    parts += [f"--interpreters {','.join(config.interpreters)}"]
    parts += ["--joint"] if config.joint else []
    if threat.norm is Norm.FLOW:
        parts += [f"--norm flow --flow-limit {threat.flow_limit:g}"]
    else:
        parts += [f"--epsilon {f'{levels}/255' if whole else repr(threat.epsilon)}"]
    parts += [f"--sweep {','.join(map(str, config.sweep))}"] if config.sweep else []
    parts += ["--full-resolution"] if threat.full_resolution else []
    parts += [f"--target {threat.target}"]
    parts += [] if threat.keeps_map else [f"--target-map {threat.target_map}"]
    parts += [f"--preset {config.preset} --seed {config.seed} --batch-size {config.batch_size}"]
    if config.budget.mask_images != PRESETS[config.preset].mask_images:
        parts += [f"--mask-images {config.budget.mask_images}"]
    parts += [f"--threads {config.threads} --device {config.device}"]
    parts += ["--id-key KEY"] if id_key else []
    parts += ["--show-file-names"] if config.show_file_names else []
    parts += [] if config.frame is None else [f"--frame {config.frame}"]
    parts += ["--allow-burned-in"] if config.burned_in else []
    return " ".join(parts)


def environment(config: AuditConfig) -> dict[str, str]:
    """What the numbers depend on besides the settings."""
    names = ("torch", "torchvision", "monai", "timm", "numpy", "pillow", "scikit-image", "scipy")
    versions = {name: importlib.metadata.version(name) for name in names}
    device = torch.cuda.get_device_name() if config.device == "cuda" else platform.machine()
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        **versions,
        "device": config.device,
        "device name": device,
        "threads": str(config.threads),
        "precision": "fp32",
    }
