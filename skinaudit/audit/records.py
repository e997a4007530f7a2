"""Rows that a run is made of. Everything a report says comes from them."""

from __future__ import annotations

from typing import Literal

from skinaudit.calibration.thresholds import DriftThreshold, Origin
from skinaudit.config import AuditConfig, Frozen, TargetMap
from skinaudit.metrics.distances import MapDistances

__all__ = ["Attack", "CheckFinding", "ImageRecord", "MapDistances", "ModelCard", "Prediction", "Record", "RunHeader"]

#: ``joint``: ADV² on several maps at once; its records count as joint only where every one of these maps is kept.
#: ``transfer``: what another interpreter shows of the picture that ADV² made for the one in ``made_for``.
#: ``sweep``: ADV² within a smaller radius, ``epsilon_levels``.
Attack = Literal["adv2", "joint", "transfer", "sweep", "pgd", "noise", "jpeg", "shift"]


class Prediction(Frozen):
    """What the model says of one image: class index, its softmax probability, all probabilities."""

    index: int
    confidence: float
    probabilities: tuple[float, ...]


class ImageRecord(Frozen):
    """One file that was found. ``status`` says whether it was attacked, ``reason`` why not."""

    image_id: str
    status: Literal["attacked", "misclassified", "not selected", "unreadable", "refused", "duplicate", "unlabelled"]
    reason: str | None = None
    file_name: str | None = None  # only with --show-file-names
    file_format: str | None = None
    width: int | None = None
    height: int | None = None
    drawn: bool = False
    label: str | None = None
    subgroups: dict[str, str] = {}  # label column -> value, for the columns that the header names
    prediction: Prediction | None = None
    rounding_logit_change: float | None = None  # effect of showing 8-bit pixels instead of the resampler's floats
    blank_maps: tuple[str, ...] = ()  # interpreters whose map of the unchanged image marks nothing
    artifacts: dict[str, str] = {}  # kind -> path inside the run: "clean" (PNG), "map-cam", "map-grad" (NPY)


class Record(Frozen):
    """One verdict: (image, interpreter, attack, target)."""

    unit_id: str
    image_id: str
    interpreter: str
    attack: Attack
    source_class: int
    target_class: int | None  # None for controls
    status: Literal["judged", "failed"]
    reason: str | None = None
    made_for: str | None = None  # transfer: the interpreter that the picture was made for
    epsilon_levels: int | None = None  # sweep: the radius in grey levels of 255
    draw: int = 0
    prediction: Prediction | None = None
    #: adv2/pgd: argmax is the target (rule untargeted: any class but the source); controls, and everything under the
    #: rule same: argmax is no longer the source class.
    flipped: bool = False
    linf_levels: int = 0  # measured on the saved pixels, in grey levels of 255
    image_ssim: float = 1.0
    displacement_max: float | None = None  # norm flow: pixels that the farthest moved pixel was moved, and the mean
    displacement_mean: float | None = None
    to_target: MapDistances | None = None  # map of the class now predicted against the wanted map (the benign one)
    to_benign: MapDistances | None = None  # the same map against the benign one, where that is not the one wanted
    wanted_map: TargetMap = TargetMap.BENIGN  # what was wanted of this map; differs from the settings for map_reason
    map_donor: str | None = None  # target map "class": id of the image whose benign map was wanted
    map_reason: str | None = None  # why the wanted map is not quite the one that was asked for
    original_class: MapDistances | None = None  # map of the original class at the changed image, same reference
    kept: bool | None = None  # the map shown is the wanted one, within the drift limits
    joint: bool | None = None  # flipped and kept; under the rule same: not flipped, and kept
    batch_size: int | None = None  # images that were computed together; None: as in the run's settings
    steps: int = 0
    stop: str | None = None  # "target reached", "no improvement", "steps used up"
    artifacts: dict[str, str] = {}  # "image" (PNG), "photograph" (PNG, at full resolution), "map", "map-original" (NPY)


class ModelCard(Frozen):
    """The object under test, as far as a report names it."""

    name: str
    version: str
    network: str
    parameters: int
    tensor_digest: str
    config_digest: str
    classes: tuple[str, ...]
    class_titles: tuple[str, ...]
    malignant: tuple[str, ...]
    input_size: tuple[int, int]
    preprocessing: tuple[str, ...]
    ignored: tuple[str, ...]
    licence: str
    declared: dict[str, float]
    kind: str = "MONAI bundle"
    assumed: tuple[str, ...] = ()  # what nobody stated of the model, and was taken from elsewhere
    trusted_code: str = ""  # code of the model that ran because the user trusts it, with its SHA-256; empty: none


class CheckFinding(Frozen):
    """One answer to "is this model auditable?"; ``check`` is a key of ``skinaudit.classifier.finding.TITLES``."""

    check: str
    passed: bool
    level: Literal["alarm", "note", "ok"]
    evidence: str
    meaning: str
    consequence: str


class RunHeader(Frozen):
    """Fixed before the first attack, hashed into the first event; a run resumes only when it matches."""

    run_id: str
    tool_version: str
    created: str  # ISO 8601, UTC
    config: AuditConfig
    model: ModelCard
    skipped_interpreters: dict[str, str] = {}  # asked for, but no use for this network: name -> why
    skipped_attacks: dict[str, str] = {}  # asked for, but without enough interpreters: what -> why
    checks: tuple[CheckFinding, ...] = ()  # is the model auditable? Empty: a run of a version that did not ask
    thresholds: tuple[DriftThreshold, ...]
    threshold_origins: dict[str, Origin]  # interpreter -> where its threshold comes from
    images_digest: str
    images_found: int
    labels_given: bool
    labels_digest: str | None = None  # of (image id, label) pairs, with the subgroups of an image where it has any
    subgroups: tuple[str, ...] = ()  # further columns of the label file by which results are counted
    environment: dict[str, str]
    batch_size_asked: int | None = None  # where the device's memory did not hold it before the first attack
    command: str  # how to recompute, without paths of this site

    def maps_by_origin(self) -> dict[Origin, tuple[str, ...]]:
        """Interpreters, grouped by where their thresholds come from, in the order of their first ones."""
        origins = self.threshold_origins
        return {
            origin: tuple(name for name, own in origins.items() if own == origin)
            for origin in dict.fromkeys(origins.values())
        }
