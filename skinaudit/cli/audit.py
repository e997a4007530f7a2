"""``skinaudit audit``: attack every image, judge what became of its maps, write the report."""

from __future__ import annotations

import shlex
import signal
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skinaudit.classifier.finding import TITLES
from skinaudit.classifier.source import ModelSource
from skinaudit.cli import options
from skinaudit.cli.audit_options import AuditOptions, takes_audit_options
from skinaudit.cli.console import Console, duration
from skinaudit.cli.errors import CommandFailed, one_line_errors
from skinaudit.cli.exit_codes import ExitCode
from skinaudit.cli.model_options import takes_a_model
from skinaudit.config import PRESETS

if TYPE_CHECKING:
    from skinaudit.audit.outlook import Outlook
    from skinaudit.audit.records import RunHeader
    from skinaudit.audit.session import AuditRequest, Prepared
    from skinaudit.report.render import Rendered


def _preset_lines() -> str:
    rows = []
    for preset, budget in PRESETS.items():
        images = "all images" if budget.images is None else f"at most {budget.images} images"
        stop = "stops early" if budget.early_stop else "never stops early"
        masked = "all" if budget.mask_images is None else f"{budget.mask_images} of them"
        rows.append(
            f"  {preset.value:<9} {images} (MASK: {masked}); {stop}; noise drawn {budget.controls}x;\n"
            f"            steps: PGD {budget.pgd_steps}, CAM {budget.cam_steps}, GRAD {budget.grad_steps}, "
            f"RTS {budget.rts_steps}, MASK {budget.mask_steps}"
        )
    return "\n".join(rows)


HELP = f"""Measure whether saliency maps would warn anyone when a diagnosis is attacked.

Each image that MODEL gets right is changed by at most epsilon a pixel until the diagnosis is another one, while the map
beside it stays as it was (ADV²). The same is tried without regard for the map (PGD), and with noise, JPEG and a
half-pixel shift. The result is a PDF, with the same content as JSON and CSV. The pictures never leave this machine.

\b
Presets:
{_preset_lines()}

\b
Examples:
  skinaudit audit models/isic2018-efficientnet-lite0 photos/ --labels truth.csv --out runs/first
  skinaudit audit isic2018-efficientnet-lite0 photos/ --preset quick --interpreters cam
  skinaudit audit my-bundle/ photos/ --epsilon 4/255 --target random --json > result.json
  skinaudit audit my-bundle/ photos/ --target same --target-map patch
  skinaudit audit my-bundle/ photos/ --norm flow --flow-limit 0.5
  skinaudit audit my-bundle/ photos/ --full-resolution
  skinaudit audit lesion.pt photos/ --network timm:resnet50 --classes mel,nv,bkl --mean imagenet --size 224
  skinaudit audit clinic.networks:make photos/ --classes mel,nv --mean none --size 224 --weights w.pt --trust-code

Interrupted, with Ctrl-C or otherwise? The same command goes on where it stopped. It refuses when the model, the images
or a setting differ, and says which. On a finished run it writes the report again and attacks nothing.

\b
Exit codes: 0 done, 2 usage, 3 input unusable, 4 model refused, 5 interrupted (can be resumed),
            6 run directory refused, 7 bug, 141 nobody reads the output.
"""


@takes_a_model
@takes_audit_options
def audit(
    context: typer.Context,
    model: ModelSource,
    images: options.ImagesArgument,
    asked: AuditOptions,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="RUN", help="Run directory. Default: skinaudit-runs/<MODEL>-<IMAGES>."),
    ] = None,
    labels: options.LabelsOption = None,
    subgroup: options.SubgroupOption = None,
    id_key: options.IdKeyOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Replaced by ``HELP``."""
    console = Console(as_json=as_json)
    with one_line_errors(as_json=as_json):
        config = asked.config()
        from skinaudit.audit.session import AuditRequest

        found, columns = options.find_model(model), options.read_subgroups(subgroup)
        truth = options.labels_for(images, labels, console)
        request = AuditRequest(found, images, truth, config, id_key, columns)
        again = shlex.join(("skinaudit", *context.obj)) if isinstance(context.obj, tuple) else "the same command"
        _show(console, _run(request, out or options.default_run_folder(found, images), console, again))


def _show(console: Console, rendered: Rendered) -> None:
    """The table and the verdict, for people or as one document."""
    from skinaudit.cli.result import result_document, show_result

    show_result(console, rendered)
    console.document(result_document(rendered))


def _run(request: AuditRequest, folder: Path, console: Console, again: str) -> Rendered:
    """Prepare, attack, render; an interruption says how to go on."""
    from skinaudit.audit.engines.local import run_audit
    from skinaudit.audit.memory import prepare_within_memory
    from skinaudit.audit.outlook import outlook
    from skinaudit.report.render import render

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # a batch system's way to press Ctrl-C
    try:
        with options.open_decoder(request.config.frame, request.config.burned_in) as decoder:
            with console.progress() as listener:
                prepared = prepare_within_memory(request, folder, decoder, listener)
            ahead = outlook(prepared, folder)
            _show_subject(console, prepared, folder, ahead)
            with console.progress() as listener:
                listener.expect(ahead.seconds)
                run_audit(prepared, folder, decoder, listener)
        return render(folder)
    except KeyboardInterrupt:
        kept = f"what is done so far is kept in {folder}" if folder.exists() else "no attack had begun"
        raise CommandFailed(f"interrupted; {kept}. To go on: {again}", ExitCode.INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_lines(header: RunHeader) -> list[str]:
    """How the checks of the model ended; those that raised an alarm by name."""
    if not header.checks:
        return []
    alarms = [TITLES[one.check].lower() for one in header.checks if not one.passed]
    named = f"alarm: {', '.join(alarms)}" if alarms else "no alarm"
    return [f"{len(header.checks)} made, {named}"]


def _show_subject(console: Console, prepared: Prepared, folder: Path, ahead: Outlook) -> None:
    """What is audited, what is left out and why, and what it will cost."""
    from skinaudit.audit.engines.local import status_of
    from skinaudit.classifier.network_text import network_name
    from skinaudit.report.change import allowed, place

    header = prepared.header
    model, config = header.model, header.config
    threat = config.threat
    left_out = Counter(
        f"{status}: {reason}" for one in prepared.specimens for status, reason in [status_of(prepared, one)] if reason
    )
    rows = [
        (
            "Model",
            f"{model.name} (version {model.version}), {network_name(model.network)}, {model.tensor_digest[:12]}",
        ),
        *(("", line) for line in options.model_notes(model)),
        ("Classes", ", ".join(f"{name}*" if name in model.malignant else name for name in model.classes)),
        ("", "* malignant" if model.malignant else "none is declared malignant"),
        *(("Checks", line) for line in _check_lines(header)),
        ("Images", f"{header.images_found} found, {len(prepared.chosen)} to be attacked"),
        *(("", f"{count} not attacked, {why}") for why, count in sorted(left_out.items())),
        *((("Subgroups", ", ".join(header.subgroups)),) if header.subgroups else ()),
        ("Attack", f"{allowed(threat)}, {place(threat)}; target {threat.target}, {config.preset}"),
        *((("", f"target map {config.threat.target_map}"),) if not config.threat.keeps_map else ()),
        ("Maps", ", ".join(config.interpreters)),
        *(("", f"drift limits of {', '.join(names)}: {origin}") for origin, names in header.maps_by_origin().items()),
        ("Run", f"{folder} on {config.device}, {config.threads} threads, batches of {config.batch_size}"),
    ]
    console.pairs(rows)
    done = ahead.units - ahead.units_left
    if not ahead.units_left:
        console.say("This run is complete: nothing is attacked, the report is written again.")
    else:
        resumed = f"{done} of {ahead.units} work units are done already; the rest takes" if done else "This takes"
        console.say(f"{resumed} at most about {duration(ahead.total_seconds)} on this machine.")
    console.say()
