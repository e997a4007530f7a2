"""What a user decides: one frozen model serves as CLI options, settings in the run, and table in the report."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

#: Confidence below which a hit does not count as held during the search (adv2: "at confidence >= 0.95").
HELD_CONFIDENCE = 0.95


class Frozen(BaseModel):
    """Base of everything that travels: immutable, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Preset(StrEnum):
    """How much work an audit may take."""

    QUICK = "quick"
    STANDARD = "standard"
    THOROUGH = "thorough"


class TargetRule(StrEnum):
    """Which class the attacker wants."""

    RANDOM = "random"
    LEAST_LIKELY = "least-likely"
    MOST_HARMFUL = "most-harmful"
    FALSE_ALARM = "false-alarm"
    UNTARGETED = "untargeted"
    SAME = "same"


class Norm(StrEnum):
    """What is done to a picture: values are changed, or pixels are moved (stAdv)."""

    LINF = "linf"
    FLOW = "flow"


class TargetMap(StrEnum):
    """Which map the attacker wants beside the diagnosis."""

    BENIGN = "benign"
    CLASS = "class"
    PATCH = "patch"


class Device(StrEnum):
    """Where the model runs; ``auto`` takes CUDA when it is there."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Budget(Frozen):
    """Numbers behind a preset. A step is one evaluation of the objective; GRAD needs three passes for one."""

    images: int | None = Field(description="most images that are attacked; None: all")
    pgd_steps: int = Field(gt=0, description="steps of PGD (diagnosis only)")
    cam_steps: int = Field(gt=0, description="steps of ADV² against CAM, warm start included")
    grad_steps: int = Field(gt=0, description="steps of ADV² against GRAD, warm start included")
    rts_steps: int = Field(default=60, gt=0, description="steps of ADV² against RTS, warm start included")
    mask_steps: int = Field(default=60, gt=0, description="steps of ADV² against MASK, warm start included")
    mask_images: int | None = Field(
        default=None,
        ge=1,
        description="most images that MASK is asked about: one map costs 300 passes; None: all",
    )
    warm_steps: int = Field(ge=0, description="first steps that look at the diagnosis only")
    controls: int = Field(ge=1, description="draws of each random control per image")
    early_stop: bool = Field(description="stop an image when its target is reached or nothing improves")

    def steps(self, family: str | None) -> int:
        """Steps of one work unit of ADV² on an interpreter of that family; None: PGD."""
        if family is None:
            return self.pgd_steps
        return {
            "activation": self.cam_steps,
            "gradient": self.grad_steps,
            "learned": self.rts_steps,
            "perturbation": self.mask_steps,
        }[family]


#: The only place where presets are numbers; ``--help`` and the report print them from here.
PRESETS: dict[Preset, Budget] = {
    Preset.QUICK: Budget(
        images=16,
        pgd_steps=20,
        cam_steps=40,
        grad_steps=60,
        rts_steps=40,
        mask_steps=40,
        mask_images=2,
        warm_steps=10,
        controls=1,
        early_stop=True,
    ),
    Preset.STANDARD: Budget(
        images=200,
        pgd_steps=40,
        cam_steps=60,
        grad_steps=80,
        rts_steps=60,
        mask_steps=60,
        mask_images=20,
        warm_steps=10,
        controls=1,
        early_stop=True,
    ),
    Preset.THOROUGH: Budget(
        images=None,
        pgd_steps=100,
        cam_steps=300,
        grad_steps=300,
        rts_steps=300,
        mask_steps=200,
        mask_images=None,
        warm_steps=15,
        controls=3,
        early_stop=False,
    ),
}


class ThreatModel(Frozen):
    """What the attacker may do (NIST AI 100-2 E2025: evasion, integrity, white-box, deployment stage)."""

    epsilon: float = Field(default=8 / 255, description="L∞ radius in units of the [0,1] pixel range")
    norm: Norm = Norm.LINF
    flow_limit: float = Field(
        default=0.5, gt=0, le=16, description="norm flow: how many pixels a pixel may be moved at most"
    )
    full_resolution: bool = Field(default=False, description="the photograph is changed, before it is resized")
    target: TargetRule = TargetRule.MOST_HARMFUL
    target_map: TargetMap = TargetMap.BENIGN

    @field_validator("epsilon")
    @classmethod
    def _epsilon_in_range(cls, value: float) -> float:
        if not 1 / 255 - 1e-9 <= value <= 64 / 255 + 1e-9:
            raise ValueError(f"epsilon must lie between 1/255 and 64/255 of the pixel range, got {value:.5g}")
        return value

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.keeps_diagnosis and self.keeps_map:
            raise ValueError(
                "target rule same and target map benign together ask for no change at all;"
                " give the target map class or patch"
            )
        return self

    @property
    def keeps_diagnosis(self) -> bool:
        """Is the diagnosis to stay what it is, so that only the map is attacked?"""
        return self.target is TargetRule.SAME

    @property
    def keeps_map(self) -> bool:
        """Is the map to stay what it is?"""
        return self.target_map is TargetMap.BENIGN

    @property
    def epsilon_levels(self) -> int:
        """Whole 8-bit grey levels inside the radius: what a saved image can use."""
        return int(self.epsilon * 255 + 1e-6)


class AuditConfig(Frozen):
    """Everything that decides what an audit computes."""

    interpreters: tuple[str, ...] = ("cam", "grad", "rts", "mask")
    sweep: tuple[int, ...] = Field(
        default=(), description="smaller radii at which ADV² is tried as well, in grey levels of 255"
    )
    joint: bool = Field(default=False, description="also attack all maps at once, as in a clinic that shows several")
    threat: ThreatModel = ThreatModel()
    preset: Preset = Preset.STANDARD
    budget: Budget = PRESETS[Preset.STANDARD]
    batch_size: int = Field(default=8, ge=1, le=256, description="the one batch shape of the run")
    seed: int = Field(default=0, ge=0, lt=2**31)
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = Field(default=1, ge=1)
    show_file_names: bool = False
    frame: int | None = Field(default=None, ge=1, description="frame of multi-frame DICOM files, counted from 1")
    burned_in: bool = Field(default=False, description="take DICOM files with burned-in annotation")

    @model_validator(mode="after")
    def _sweeps_below_its_radius(self) -> Self:
        if not self.sweep:
            return self
        if self.threat.norm is not Norm.LINF:
            raise ValueError("a sweep of radii belongs to the norm linf; leave it out with the norm flow")
        most = self.threat.epsilon_levels
        if most == 1:
            raise ValueError("a sweep takes grey levels below epsilon, and below 1/255 there is none")
        if min(self.sweep) < 1 or max(self.sweep) >= most or len(set(self.sweep)) != len(self.sweep):
            raise ValueError(f"a sweep takes different grey levels from 1 to {most - 1}, below epsilon")
        return self
