"""The texts of a bundle that is made from plain weights: metadata, the program MONAI runs, the model card."""

from __future__ import annotations

import importlib.metadata
import re

from skinaudit import __version__
from skinaudit.classifier.config_file import Value
from skinaudit.classifier.plain import PlainModel

NOT_STATED = "not stated"
_SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"


def metadata(plain: PlainModel, name: str, licence: str) -> dict[str, Value]:
    """What ``configs/metadata.json`` says; what nobody stated stands there as not stated."""
    known, stated = plain.description, plain.stated
    listed = ", ".join(known.classes)
    height, width = stated.size
    packages = ["safetensors", "pytorch-ignite", *(["timm"] if plain.target.startswith("timm.") else [])]
    return {
        "schema": _SCHEMA,
        "name": name,
        "version": "0.1.0",
        "changelog": {"0.1.0": f"Imported from plain weights with skinaudit {__version__}"},
        "monai_version": _release("monai"),
        "pytorch_version": _release("torch"),
        "numpy_version": _release("numpy"),
        "required_packages_version": {package: _release(package) for package in packages},
        "task": "Classification of photographs of skin lesions",
        "description": f"{known.network}, imported from plain weights. It is an object to audit.",
        "authors": NOT_STATED,
        "copyright": NOT_STATED,
        "license": licence,
        "data_source": NOT_STATED,
        "data_type": "JPEG",
        "image_classes": f"RGB photograph, {height} x {width} pixels (height x width), 8 bits a channel",
        "label_classes": f"one of {listed}",
        "pred_classes": f"probabilities of {listed}, which sum to 1",
        "eval_metrics": {},
        "intended_use": NOT_STATED,
        "references": [NOT_STATED],
        "network_data_format": _data_format(plain),
        "skinaudit": {
            "class_titles": {one: one for one in known.classes},
            "malignant": list(known.malignant),
            "licence": licence,
            "assumed": list(known.assumed),
            "measured": {},
        },
    }


def _data_format(plain: PlainModel) -> dict[str, Value]:
    stated, classes = plain.stated, plain.description.classes
    darkest = min(-mean / std for mean, std in zip(stated.mean, stated.std, strict=True))
    brightest = max((1 - mean) / std for mean, std in zip(stated.mean, stated.std, strict=True))
    image: dict[str, Value] = {
        "type": "image",
        "format": "RGB",
        "modality": "photograph",
        "num_channels": 3,
        "spatial_shape": list(stated.size),
        "dtype": "float32",
        "value_range": [round(darkest, 4), round(brightest, 4)],
        "is_patch_data": False,
        "channel_def": {"0": "R", "1": "G", "2": "B"},
    }
    probabilities: dict[str, Value] = {
        "type": "probabilities",
        "format": "classification",
        "num_channels": len(classes),
        "spatial_shape": [],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {str(index): name for index, name in enumerate(classes)},
    }
    return {"inputs": {"image": image}, "outputs": {"pred": probabilities}}


def inference(plain: PlainModel) -> dict[str, Value]:
    """The program with which MONAI runs the bundle; skinaudit reads only its network and its pre-processing."""
    never: dict[str, Value] = {"pretrained": False} if plain.target.startswith("timm.") else {}
    return {
        "imports": ["$import pathlib", "$from safetensors.torch import load_file"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/predictions'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": plain.target, **plain.arguments, **never},
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": plain.stated.transforms},
        **_run(),
        "weights": "$@bundle_root + '/models/model.safetensors'",
        "initialize": ["$@network_def.load_state_dict(load_file(@weights))"],
        "run": ["$@evaluator.run()"],
    }


def _run() -> dict[str, Value]:
    """From a folder of images to a table of probabilities, the same for every network."""
    files = "$sorted(str(f) for f in pathlib.Path(@dataset_dir).iterdir() if f.suffix.lower() in @suffixes)"
    loader: dict[str, Value] = {"dataset": "@dataset", "batch_size": 8, "shuffle": False, "num_workers": 0}
    softmax: dict[str, Value] = {"_target_": "Activationsd", "keys": "pred", "softmax": True}
    saver: dict[str, Value] = {
        "_target_": "ClassificationSaver",
        "output_dir": "@output_dir",
        "filename": "probabilities.csv",
        "batch_transform": "$lambda batch: [item['image'].meta for item in batch]",
        "output_transform": "$lambda output: [item['pred'] for item in output]",
    }
    evaluator: dict[str, Value] = {
        "_target_": "SupervisedEvaluator",
        "device": "@device",
        "val_data_loader": "@dataloader",
        "network": "@network",
        "inferer": "@inferer",
        "postprocessing": "@postprocessing",
        "val_handlers": "@handlers",
        "amp": False,
    }
    images = "$[{'image': name} for name in @files]"
    return {
        "suffixes": [".jpg", ".jpeg", ".png"],
        "files": files,
        "dataset": {"_target_": "Dataset", "data": images, "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", **loader},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": "Compose", "transforms": [softmax]},
        "handlers": [saver],
        "evaluator": evaluator,
    }


def model_card(plain: PlainModel, name: str) -> str:
    """A model card for people to fill in."""
    known, stated = plain.description, plain.stated
    lines = [
        f"# {name}",
        "",
        "Imported from plain weights. Say here what the model is for, what it was trained on and how well it does.",
        "",
        f"* Network: `{known.network}`",
        f"* Classes, in the order of the outputs: {', '.join(known.classes)}",
        f"* Malignant: {', '.join(known.malignant) or 'none'}",
        f"* Input: the whole photograph, upright, resized to {stated.size[0]} x {stated.size[1]} (height x width)",
        f"* Pixels in [0,1], minus {list(stated.mean)}, divided by {list(stated.std)}",
        *(f"* Assumed at import: {line}" for line in known.assumed),
    ]
    return "\n".join(lines) + "\n"


def _release(package: str) -> str:
    """Version without what a local build or a pre-release adds."""
    found = re.match(r"\d+(\.\d+){1,2}", importlib.metadata.version(package))
    return "0.0" if found is None else found[0]
