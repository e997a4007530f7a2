"""The options of ``skinaudit audit`` that become its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from skinaudit.cli import attack_options, options
from skinaudit.cli.composed import composed
from skinaudit.config import AuditConfig, Device, Norm, Preset, TargetMap, TargetRule


@dataclass(frozen=True)
class AuditOptions:
    """What the command line says of an audit, as it was written."""

    interpreters: options.InterpretersOption = options.DEFAULT_INTERPRETERS
    joint: attack_options.JointOption = False
    norm: attack_options.NormOption = Norm.LINF
    epsilon: attack_options.EpsilonOption = None
    sweep: attack_options.SweepOption = None
    flow_limit: attack_options.FlowLimitOption = None
    full_resolution: attack_options.FullResolutionOption = False
    target: attack_options.TargetOption = TargetRule.MOST_HARMFUL
    target_map: attack_options.TargetMapOption = TargetMap.BENIGN
    preset: attack_options.PresetOption = Preset.STANDARD
    mask_images: attack_options.MaskImagesOption = None
    device: options.DeviceOption = Device.AUTO
    batch_size: options.BatchOption = options.DEFAULT_BATCH
    threads: options.ThreadsOption = None
    seed: options.SeedOption = 0
    show_file_names: Annotated[
        bool, typer.Option("--show-file-names", help="Print file names in the report; they may name patients.")
    ] = False
    frame: options.FrameOption = None
    allow_burned_in: options.BurnedInOption = False

    def config(self) -> AuditConfig:
        """The configuration that they ask for.

        Raises:
            typer.BadParameter: an option cannot be read, or is without effect.
        """
        from skinaudit.audit.machine import choose_device

        threat = attack_options.read_threat(
            self.epsilon, self.target, self.target_map, self.norm, self.flow_limit, self.full_resolution
        )
        config = AuditConfig(
            interpreters=options.read_interpreters(self.interpreters),
            joint=self.joint,
            sweep=attack_options.read_sweep(self.sweep, threat),
            threat=threat,
            preset=self.preset,
            budget=attack_options.read_budget(self.preset, self.mask_images),
            batch_size=self.batch_size,
            seed=self.seed,
            device=choose_device(self.device),
            threads=options.thread_count(self.threads),
            show_file_names=self.show_file_names,
            frame=self.frame,
            burned_in=self.allow_burned_in,
        )
        attack_options.check_use(config, self.mask_images)
        return config


#: Gives a command with a parameter ``asked: AuditOptions`` all of them.
takes_audit_options = composed("asked", AuditOptions)
