"""The maps that an attacker wants of the images of a run; those of other images are computed once each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from skinaudit.attacks.target_maps import NO_DONOR, Donor, WantedMap, choose_donor, wanted_map
from skinaudit.audit.survey import derive, read_again
from skinaudit.audit.workbench import Subject, Workbench, chosen_target
from skinaudit.config import TargetMap
from skinaudit.images.refusal import ImageRefused

if TYPE_CHECKING:
    from torch import Tensor

    from skinaudit.audit.session import Prepared
    from skinaudit.images.decoder import Decoder


class WantedMaps:
    """Gives the images of a run the maps that are wanted of them; remembers benign maps of images that lend theirs."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._lent: dict[tuple[str, str], Tensor] = {}  # (interpreter, image) -> map

    def given(self, prepared: Prepared, subjects: Iterable[Subject]) -> Iterator[Subject]:
        """The same images in the same order, each with its wanted maps; a batch at a time."""
        bench = prepared.bench
        if bench.config.threat.keeps_map:
            yield from subjects
            return
        correct = _correct(prepared) if bench.config.threat.target_map is TargetMap.CLASS else {}
        stream = iter(subjects)
        while part := list(islice(stream, bench.config.batch_size)):
            donors = [_donor(bench, subject, correct) for subject in part]
            self._look(prepared, part, donors)
            for subject, donor in zip(part, donors, strict=True):
                yield self._with_maps(bench, subject, donor)

    def _look(self, prepared: Prepared, part: Sequence[Subject], donors: Sequence[str | None]) -> None:
        """Compute what is missing of the donors' benign maps."""
        missing: dict[str, dict[str, None]] = defaultdict(dict)  # interpreter -> images, in order and once each
        for subject, donor in zip(part, donors, strict=True):
            for name in subject.clean.maps if donor is not None else ():
                if (name, str(donor)) not in self._lent:
                    missing[name][str(donor)] = None
        specimens = {donor: prepared.specimen(donor) for images in missing.values() for donor in images}
        shown = {}
        for one, pixels in read_again(list(specimens.values()), self._decoder, prepared.header.config.seed):
            if not isinstance(pixels, ImageRefused):
                entry = prepared.bench.entry
                shown[one.image_id] = entry.seen(entry.picture(pixels))
        for name, images in missing.items():
            there = [donor for donor in images if donor in shown]
            views = prepared.bench.judge.clean([shown[donor] for donor in there], [name])
            for donor, view in zip(there, views, strict=True):
                self._lent[name, donor] = view.maps[name]

    def _with_maps(self, bench: Workbench, subject: Subject, donor: str | None) -> Subject:
        threat = bench.config.threat
        instead = TargetMap.PATCH if threat.keeps_diagnosis else TargetMap.BENIGN
        wanted: dict[str, WantedMap] = {}
        for name, benign in subject.clean.maps.items():
            lent = None if donor is None else self._lent.get((name, donor))
            lender = None if donor is None or lent is None else Donor(donor, lent)
            why = NO_DONOR if donor is None else "the image whose map was drawn cannot be read any more"
            seed = derive(subject.seed, "patch")
            wanted[name] = wanted_map(threat.target_map, benign, seed, lender, why=why, instead=instead)
        return replace(subject, wanted=wanted)


def _donor(bench: Workbench, subject: Subject, correct: Mapping[int, Sequence[str]]) -> str | None:
    """Whose map is wanted of an image: the same image's of every interpreter."""
    candidates = correct.get(chosen_target(bench, subject), ())
    return choose_donor(candidates, subject.image_id, derive(subject.seed, "donor"))


def _correct(prepared: Prepared) -> dict[int, list[str]]:
    """Correctly classified images by class (without labels: by the class that is predicted), attacked or not."""
    classes = prepared.bench.classifier.classes
    found: dict[int, list[str]] = defaultdict(list)
    for one in prepared.specimens:
        look = prepared.looks.get(one.image_id)
        if one.status != "readable" or look is None:
            continue
        if not prepared.header.labels_given or one.label == classes[look.predicted]:
            found[look.predicted].append(one.image_id)
    return found
