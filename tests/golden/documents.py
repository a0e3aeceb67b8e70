"""Three reports made by hand: an office PC without GPU, one gaming laptop, a server with eight GPUs.

The figures are plausible, not computed: these documents test how pages are
written, not what is right.
"""

from collections.abc import Sequence

from probe.machine import (
    ByteRange,
    Machine,
    Range,
)
from probe.recommender.answer import Placement, PlacementKind, Reason, Split, Verdict
from probe.report.documents import (
    CheckDocument,
    DeviceMemoryDocument,
    EngineDocument,
    EstimateDocument,
    FindingDocument,
    MemoryDocument,
    ModelLine,
    ModelSummary,
    RecommendationDocument,
    ReportDocument,
    Route,
    SizeMapCell,
    SpeedDocument,
    SummaryDocument,
    Tool,
)
from tests.golden.machines import laptop_machine, office_pc_machine, server_machine

GIB = 1024**3
GB = 10**9
SIZES = ("1B", "2B", "4B", "8B", "14B", "32B", "70B", "120B MoE", "235B MoE", "671B MoE")
LEVELS = ("4-bit", "5-6-bit", "8-bit", "16-bit")
EXAMPLES = (
    "EXAONE-4.0-1.2B",
    "Qwen3-1.7B",
    "Qwen3-4B",
    "Llama-3.1-8B-Instruct",
    "Qwen3-14B",
    "Qwen3-32B",
    "Llama-3.3-70B-Instruct",
    "GLM-4.5-Air",
    "Qwen3-235B-A22B",
    "DeepSeek-V3",
)
BILLIONS = (1.28, 2.03, 4.02, 8.03, 14.8, 32.8, 70.6, 110.5, 235.1, 671.0)
ACTIVE = (1.28, 2.03, 4.02, 8.03, 14.8, 32.8, 70.6, 12.0, 22.0, 37.0)
BITS = (4.85, 5.69, 8.5, 16.0)

WORDS = {
    "ko": {
        "office": "이 PC에서는 Qwen3-4B(Q4_K_M)까지 CPU로 쓸 만합니다: 초당 약 8.4토큰.",
        "laptop": "이 PC에서는 Qwen3-8B(Q4_K_M)를 GPU에서 쾌적하게 쓸 수 있습니다: 초당 약 71토큰.",
        "server": (
            "이 PC에서는 DeepSeek-V3(Q4_K_M)를 여러 GPU에 나누어 쾌적하게 쓸 수 있습니다: 초당 약 42토큰."
        ),
        "why": "공개 점수로 본 품질 100점 만점에 52점(47~57), 내려받기 2.5 GB.",
        "own": "이 PC: Qwen3-4B(Q4_K_M)를 쓸 수 있습니다.",
        "shared": (
            "공용 서버: 관리자에게 API 주소를 물어보세요. 어떤 모델을 "
            "제공하는지는 그 서버의 보고서에 있습니다."
        ),
        "cloud": "클라우드 GPU 대여: Qwen3-32B(4비트)에는 RTX 4090 24GB급이 필요합니다.",
        "single_title": "메모리가 한 개뿐이라 메모리 속도의 절반만 쓰고 있습니다",
        "single_evidence": "16.0 GiB DDR4 모듈 하나만 꽂혀 있습니다.",
        "single_detail": (
            "CPU에서는 메모리 속도가 생성 속도를 정합니다. 같은 모듈을 하나 더 꽂으면 거의 두 배가 됩니다."
        ),
        "single_fix": "같은 용량과 속도의 모듈을 다른 채널 슬롯에 추가하세요(메인보드 설명서 참고).",
        "next": "확실히 더 좋은 다음 모델은 Qwen3-8B입니다. 빠르려면 GPU가 있어야 합니다.",
        "llama": "CPU로만 실행됩니다.",
        "vllm": "GPU가 필요한데 쓸 수 있는 GPU가 없습니다.",
        "reason": "속도의 낮은 쪽이 초당 5.9토큰입니다(쾌적 기준 10).",
    },
    "en": {
        "office": (
            "On this PC models up to Qwen3-4B (Q4_K_M) are usable on the CPU: about 8.4 tokens a second."
        ),
        "laptop": "On this PC Qwen3-8B (Q4_K_M) runs comfortably on the GPU: about 71 tokens a second.",
        "server": (
            "On this PC DeepSeek-V3 (Q4_K_M) runs comfortably over several GPUs: about 42 tokens a second."
        ),
        "why": "Quality by published scores 52 of 100 (47 to 57), download 2.5 GB.",
        "own": "This PC: Qwen3-4B (Q4_K_M) is usable.",
        "shared": (
            "The shared server: ask its keeper for the API address. Its own report says what it serves."
        ),
        "cloud": "A rented cloud GPU: Qwen3-32B (4 bit) needs the class of an RTX 4090 24GB.",
        "single_title": "A single memory module: half of the memory speed is lost",
        "single_evidence": "One module of 16.0 GiB DDR4 is populated.",
        "single_detail": (
            "On the CPU memory speed decides the speed. A second module of the same kind nearly doubles it."
        ),
        "single_fix": (
            "Add a module of the same size and speed in a slot of the other channel (see the board's manual)."
        ),
        "next": "The next clearly better model is Qwen3-8B: on a GPU to be quick.",
        "llama": "Runs on the CPU only.",
        "vllm": "Needs a GPU, and none can be used.",
        "reason": "The low end of the speed is 5.9 tokens/s (comfortable starts at 10).",
    },
}


def speed_range(value: float) -> Range:
    return Range(low=value * 0.7, value=value, high=value * 1.25, basis="fit:cpu")


def verdict_of(total: float, capacity: float, speed: float) -> Verdict:
    if total > capacity or speed < 1:
        return Verdict.NO
    if speed < 5:
        return Verdict.SLOW
    return Verdict.COMFORTABLE if speed * 0.7 >= 10 else Verdict.USABLE


def size_map(bandwidth: float, capacity: float) -> tuple[SizeMapCell, ...]:
    cells = []
    for size, example, billions, active in zip(SIZES, EXAMPLES, BILLIONS, ACTIVE, strict=True):
        for level, bits in zip(LEVELS, BITS, strict=True):
            weights = billions * 1e9 * bits / 8
            total = weights * 1.05 + GIB
            speed = 0.6 * bandwidth / (active * 1e9 * bits / 8)
            cells.append(
                SizeMapCell(
                    size_class=size,
                    quantization=level,
                    verdict=verdict_of(total, capacity, speed),
                    decode_tokens_per_s=speed_range(speed),
                    total_bytes=round(total),
                    example=example,
                )
            )
    return tuple(cells)


def model_lines(bandwidth: float, capacity: float) -> tuple[ModelLine, ...]:
    lines = []
    for number in range(40):
        name = f"{EXAMPLES[number % 10]}" if number < 10 else f"Sample-{number}-{EXAMPLES[number % 10]}"
        billions, active = BILLIONS[number % 10], ACTIVE[number % 10]
        total = billions * 1e9 * 0.62 + GIB
        speed = 0.6 * bandwidth / (active * 1e9 * 0.6)
        lines.append(
            ModelLine(
                id=f"org/{name}",
                quantization="Q4_K_M",
                context=8192,
                verdict=verdict_of(total, capacity, speed),
                decode_tokens_per_s=speed_range(speed),
                total_bytes=round(total),
                name=name,
                engine="llama.cpp",
                placement="cpu",
                file_bytes=round(billions * 1e9 * 0.6),
                time_to_first_token_s=12.0,
            )
        )
    return tuple(sorted(lines, key=lambda line: -(line.total_bytes or 0)))


def device_memory(device: str, weights: float, kv: float, available: float) -> DeviceMemoryDocument:
    compute, runtime = 300 * 1024**2, 180 * 1024**2
    return DeviceMemoryDocument(
        device=device,
        weights_bytes=round(weights),
        kv_cache_bytes=round(kv),
        recurrent_state_bytes=0,
        compute_bytes=compute,
        repack_bytes=ByteRange(),
        runtime_bytes=runtime,
        total_bytes=round(weights + kv) + compute + runtime,
        available_bytes=round(available),
        free_bytes=None,
    )


def memory_document(devices: Sequence[DeviceMemoryDocument], thumb: int | None) -> MemoryDocument:
    return MemoryDocument(
        weights_bytes=sum(device.weights_bytes or 0 for device in devices),
        kv_cache_bytes=sum(device.kv_cache_bytes or 0 for device in devices),
        recurrent_state_bytes=0,
        compute_bytes=sum(device.compute_bytes or 0 for device in devices),
        repack_bytes=ByteRange(),
        runtime_bytes=sum(device.runtime_bytes or 0 for device in devices),
        total_bytes=sum(device.total_bytes or 0 for device in devices),
        per_device=tuple(devices),
        rule_of_thumb_bytes=thumb,
    )


def model_summary(name: str, billions: float, active: float) -> ModelSummary:
    return ModelSummary(
        id=f"org/{name}",
        alias=name.lower(),
        name=name,
        params_total=round(billions * 1e9),
        params_active=round(active * 1e9),
        languages=("en", "ko"),
        license="apache-2.0",
    )


def estimate_fields(
    name: str, devices: Sequence[DeviceMemoryDocument], placement: Placement, speed: float, lang: str
) -> dict[str, object]:
    place = EXAMPLES.index(name)
    return {
        "model": model_summary(name, BILLIONS[place], ACTIVE[place]),
        "engine": "llama.cpp",
        "quantization": "Q4_K_M",
        "context": 8192,
        "parallel": 1,
        "kv_type": "f16",
        "placement": placement,
        "file_bytes": round(BILLIONS[place] * 0.606e9),
        "memory": memory_document(devices, round(BILLIONS[place] * 0.6e9)),
        "speed": SpeedDocument(
            decode_tokens_per_s=speed_range(speed),
            aggregate_tokens_per_s=speed,
            prefill_tokens_per_s=speed_range(speed * 12),
            decode_limit_tokens_per_s=speed * 1.6,
            time_to_first_token_s=2000 / (speed * 12),
            depth_tokens=2048,
            inputs={
                "weight_bytes": 2.44e9,
                "kv_bytes": 0.3e9,
                "device": devices[0].device,
                "bandwidth_bytes_per_s": 38.4e9,
                "bandwidth_basis": "smbios",
                "efficiency": 0.62,
                "layer_overhead_s": 0.00001,
                "weights_s": 0.102,
                "a_name_without_label": 3.0,
            },
        ),
        "fits": True,
        "fits_now": True,
        "max_context": 32768,
        "verdict": verdict_of(1, 2, speed),
        "reasons": (WORDS[lang]["reason"],),
        "reason_codes": (Reason(code="verdict.decode_below_comfort", values={"speed": 5.9, "limit": 10}),),
        "command": f"llama-server -hf org/{name}-GGUF:Q4_K_M -c 8192 -np 1 --flash-attn on --jinja",
        "commands": {
            "llama.cpp": f"llama-server -hf org/{name}-GGUF:Q4_K_M -c 8192 -np 1 --flash-attn on --jinja",
            "ollama": f"ollama run hf.co/org/{name}-GGUF:Q4_K_M",
            "lmstudio": f"lms get https://huggingface.co/org/{name}-GGUF@Q4_K_M",
        },
    }


def findings(lang: str) -> tuple[FindingDocument, ...]:
    words = WORDS[lang]
    return (
        FindingDocument(
            id="single_memory_module",
            severity="warning",
            title=words["single_title"],
            evidence=words["single_evidence"],
            detail=words["single_detail"],
            fix=words["single_fix"],
        ),
    )


def report(
    machine: Machine,
    lang: str,
    *,
    headline: str,
    bandwidth: float,
    capacity: float,
    picks: Sequence[RecommendationDocument],
    found: tuple[FindingDocument, ...] = (),
) -> ReportDocument:
    words = WORDS[lang]
    return ReportDocument(
        tool=Tool(name="probe", version="0.1.0", catalogs="2026-11-21"),
        created_at="2026-11-21T09:00:00Z",
        language=lang,
        machine=machine,
        findings=found,
        engines=(
            EngineDocument(engine="llama.cpp", verdict="ok", reasons=(words["llama"],)),
            EngineDocument(engine="vllm", verdict="no", reasons=(words["vllm"],)),
        ),
        summary=SummaryDocument(
            headline=words[headline],
            headline_codes=(Reason(code="answer.headline.nothing"),),
            largest_comfortable=None,
            largest_usable=EstimateDocument(**_plain(picks[0])) if picks else None,
            routes=(
                Route(route="own_pc", verdict="usable", text=words["own"]),
                Route(route="shared_server", verdict="unknown", text=words["shared"]),
                Route(route="cloud", verdict="comfortable", text=words["cloud"]),
            ),
            next_step=(words["next"],),
        ),
        size_map=size_map(bandwidth, capacity),
        recommendations=tuple(picks),
        models=model_lines(bandwidth, capacity),
    )


def _plain(pick: EstimateDocument) -> dict[str, object]:
    return {field: getattr(pick, field) for field in EstimateDocument.__struct_fields__}


def office_pc(lang: str) -> ReportDocument:
    devices = (device_memory("cpu", 2.44e9, 1.2e9, 11e9),)
    placement = Placement(kind=PlacementKind.CPU, devices=("cpu",), gpu_layers=0)
    picks = [
        RecommendationDocument(
            **estimate_fields("Qwen3-4B", devices, placement, 8.4, lang),
            rank=1,
            purpose="general",
            role="best",
            also=("documents",),
            quality=Range(low=47, value=52, high=57, basis="scores"),
            why=WORDS[lang]["why"],
        ),
        RecommendationDocument(
            **estimate_fields("EXAONE-4.0-1.2B", devices, placement, 21, lang),
            rank=2,
            purpose="korean",
            role="korean",
            also=("smallest",),
            quality=None,
            why=WORDS[lang]["why"],
        ),
    ]
    return report(
        office_pc_machine(),
        lang,
        headline="office",
        bandwidth=34e9,
        capacity=11e9,
        picks=picks,
        found=findings(lang),
    )


def laptop(lang: str) -> ReportDocument:
    devices = (device_memory("gpu0", 4.6e9, 1.1e9, 7.2e9), device_memory("cpu", 0.4e9, 0, 6e9))
    placement = Placement(kind=PlacementKind.GPU, devices=("gpu0", "cpu"), gpu_layers=37)
    pick = RecommendationDocument(
        **estimate_fields("Llama-3.1-8B-Instruct", devices, placement, 71, lang),
        rank=1,
        purpose="general",
        quality=None,
        why=WORDS[lang]["why"],
    )
    return report(laptop_machine(), lang, headline="laptop", bandwidth=448e9, capacity=7.2e9, picks=[pick])


def server(lang: str) -> ReportDocument:
    devices = tuple(device_memory(f"gpu{index}", 50e9 + index * 1e8, 4e9, 78e9) for index in range(8))
    placement = Placement(
        kind=PlacementKind.MULTI_GPU,
        split=Split.LAYER,
        devices=tuple(f"gpu{index}" for index in range(8)),
        gpu_layers=62,
    )
    pick = RecommendationDocument(
        **estimate_fields("DeepSeek-V3", devices, placement, 42, lang),
        rank=1,
        purpose="general",
        quality=None,
        why=WORDS[lang]["why"],
    )
    return report(server_machine(), lang, headline="server", bandwidth=3.35e12, capacity=620e9, picks=[pick])


def check_that_fits(lang: str) -> CheckDocument:
    found = office_pc(lang).recommendations[0]
    fields = _plain(found)
    other = EstimateDocument(**{**fields, "alternatives": ()})
    return CheckDocument(**{**fields, "alternatives": (other,)}, machine_name="office-7")


def check_that_fails(lang: str) -> CheckDocument:
    devices = (device_memory("cpu", 42e9, 2.7e9, 11e9),)
    placement = Placement(kind=PlacementKind.CPU, devices=("cpu",), gpu_layers=0)
    fields = estimate_fields("Llama-3.3-70B-Instruct", devices, placement, 0.5, lang)
    changed = {**fields, "fits": False, "fits_now": False, "verdict": Verdict.NO, "command": None}
    return CheckDocument(**changed, machine_name=None)


REPORTS = {"office_pc": office_pc, "laptop": laptop, "server": server}
CHECKS = {"check_fits": check_that_fits, "check_fails": check_that_fails}
