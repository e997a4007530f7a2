"""What the report says of drift limits: where each map's come from, and which are rough."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from pypdf import PdfReader
from reportlab.platypus import SimpleDocTemplate

from skinaudit.audit.records import ImageRecord
from skinaudit.report.findings import summarise
from skinaudit.report.sections import protocol
from skinaudit.report.style import register_fonts
from tests.report.synthetic import SyntheticRun, header, probabilities, verdict


def test_each_map_has_its_origin_and_few_images_are_called_rough() -> None:
    register_fonts()
    head = header(("cam", "rts", "mask"), labels_given=False, images_found=1)
    few = tuple(
        one.model_copy(update={"images": {"cam": 240, "rts": 12, "mask": 36}[one.interpreter]})
        for one in head.thresholds
    )
    origins = {"cam": "bundle", "rts": "calibrated on the attacked images", "mask": "bundle"}
    head = head.model_copy(update={"thresholds": few, "threshold_origins": origins})
    images = [ImageRecord(image_id="i0", status="attacked", prediction=probabilities(0, 0.9))]
    report = summarise(SyntheticRun(Path(), head, images, [verdict("i0", "adv2")]))
    target = BytesIO()
    SimpleDocTemplate(target).build(protocol(report))
    text = " ".join("".join(page.extract_text() for page in PdfReader(target).pages).split())
    assert "CAM, MASK: came with the model." in text
    assert "RTS: measured in this run, on unchanged images of which some, or all, were attacked later" in text
    assert "RTS: 12 images, fewer than 100, so that the limits are rough." in text
    assert text.count("are rough") == 1  # 36 are enough for MASK
