"""Words for what the attacker wants, of the diagnosis and of the map: the same in sentences, tables and captions."""

from __future__ import annotations

from skinaudit.config import Norm, TargetMap, TargetRule, ThreatModel

_RULES = {
    TargetRule.RANDOM: "a class drawn at random among the others",
    TargetRule.LEAST_LIKELY: "the class that the model held least likely",
    TargetRule.MOST_HARMFUL: "from malignant to the likeliest benign class, from benign to a malignant one",
    TargetRule.FALSE_ALARM: "from benign to melanoma, or to the likeliest malignant class where melanoma is none; "
    "images of malignant diagnoses are left alone",
    TargetRule.UNTARGETED: "any class but the one of the unchanged image; the search heads for the likeliest of them",
    TargetRule.SAME: "the diagnosis of the unchanged image, which is to stay: only the map is attacked",
}
_MAPS = {
    TargetMap.BENIGN: "The map of the unchanged image, so that the clinician sees what an honest case would show.",
    TargetMap.CLASS: "The map of another image that the model correctly puts into the wanted class, drawn at random "
    "among those of this run, so that the clinician sees a map that suits the wanted diagnosis.",
    TargetMap.PATCH: "A patch drawn at random: a disc or a turned rectangle with a soft edge, on 5 to 25 % of the map, "
    "where the 20 % of pixels that the benign map marks most are not; an explanation that means nothing.",
}


def diagnosis_wanted(threat: ThreatModel) -> str:
    """The target rule in words."""
    return f"Target rule “{threat.target}”: {_RULES[threat.target]}."


def map_wanted(threat: ThreatModel) -> str:
    """The wanted map in words."""
    return _MAPS[threat.target_map]


def attacks(threat: ThreatModel) -> tuple[str, str]:
    """What ADV² and its baseline are, as a row of (term, meaning)."""
    if threat.keeps_diagnosis:
        told = (
            "ADV² searches for a change that sends the map where it is wanted and leaves the diagnosis. There is no "
            "PGD beside it: without the map it has nothing to do. Random noise of the same size stands in its place."
        )
        return "ADV²", told
    deed = "alters the diagnosis and keeps the map" if threat.keeps_map else "alters the diagnosis and the map alike"
    told = (
        f"ADV² searches for a change that {deed}. PGD is the same search with the map left out of account: it shows "
        "what the map does when nobody cares about it."
    )
    return "ADV² and PGD", told


def objective(threat: ThreatModel) -> str:
    """The objective that is violated."""
    if threat.keeps_diagnosis:
        return "Integrity: a right diagnosis, shown with a saliency map that is not its own."
    if threat.keeps_map:
        return "Integrity: a wrong diagnosis, shown with a saliency map that raises no doubt."
    return "Integrity: a wrong diagnosis, shown with a saliency map that the attacker chose."


def purpose(threat: ThreatModel) -> str:
    """What the audit was for, on the summary page."""
    what = (
        "the explanation that the clinician is shown can be sent elsewhere while the diagnosis stays"
        if threat.keeps_diagnosis
        else "the diagnosis can be altered while the explanation that the clinician is shown "
        + ("stays as it was" if threat.keeps_map else "becomes what the attacker wants")
    )
    changed = "Pixels were moved" if threat.norm is Norm.FLOW else "Images were changed, pixel by pixel,"
    return (
        f"{changed} within the bound on the cover, to find out whether {what}. Every figure "
        "was measured on saved 8-bit images with the unmodified model."
    )


def question(threat: ThreatModel) -> str:
    """The question on the cover."""
    if threat.keeps_diagnosis:
        return "Can the explanation be sent elsewhere while the diagnosis stays?"
    if threat.keeps_map:
        return "Can the diagnosis be changed without the explanation showing it?"
    return "Can diagnosis and explanation both be made what an attacker wants?"


def kept_title(threat: ThreatModel) -> str:
    """Heading of the column that counts maps."""
    return "Map kept" if threat.keeps_map else "Wanted map reached"


def joint_title(threat: ThreatModel) -> str:
    """Heading of the column that counts joint success."""
    return "Both as wanted" if threat.keeps_diagnosis else "Both at once"


def reference(threat: ThreatModel) -> str:
    """The map that distances are measured to."""
    return "the benign map" if threat.keeps_map else "the wanted map"


def map_outcome(threat: ThreatModel, title: str) -> str:
    """What became of a map that counts, after "with": "the CAM map kept"."""
    return f"the {title} map kept" if threat.keeps_map else f"the wanted {title} map reached"


def deed(threat: ThreatModel, *, every_map: bool = False) -> str:
    """Joint success as something an attack did, with one map or with every map of several."""
    if threat.keeps_diagnosis:
        return f"reached {'every' if every_map else 'the'} wanted map with the diagnosis unchanged"
    return (
        f"changed the diagnosis with {'every' if every_map else 'the'} map kept"
        if threat.keeps_map
        else f"changed the diagnosis and reached {'every' if every_map else 'the'} wanted map"
    )


def success(threat: ThreatModel) -> str:
    """Joint success as a state, to stand in a sentence: "diagnosis changed and map kept"."""
    return f"diagnosis {'as it was' if threat.keeps_diagnosis else 'changed'} and {kept_title(threat).lower()}"


def meanings(threat: ThreatModel) -> tuple[tuple[str, str], ...]:
    """What the columns of the results mean, as rows of (term, meaning)."""
    aimed = "to any other class" if threat.target is TargetRule.UNTARGETED else "to the class they aim at"
    changed = (
        "to any other class, which is not wanted; saved 8-bit image, unmodified fp32 model"
        if threat.keeps_diagnosis
        else f"ADV² and PGD: {aimed}; controls: to any other; saved 8-bit image, unmodified fp32 model"
    )
    where = reference(threat)
    return (
        ("Diagnosis changed", changed),
        (kept_title(threat), f"L1 distance to {where} and top-20 % overlap both within the limits below"),
        ("Joint success", f"{success(threat)}, on the same saved image"),
    )


def no_proof(threat: ThreatModel) -> str:
    """What the words for a map that counts do not claim."""
    said = "“Map kept” is a statement" if threat.keeps_map else "“Wanted map reached” is a statement"
    return f"{said} about distances between maps. Whether a clinician would notice was not tested with clinicians."


def marks(threat: ThreatModel) -> str:
    """What an amber frame around a picture means."""
    if threat.keeps_diagnosis:
        return "An amber frame marks a map that is the wanted one, with the diagnosis unchanged."
    became = "stayed" if threat.keeps_map else "is the wanted one"
    return f"An amber frame marks a changed diagnosis and a map that {became}."
