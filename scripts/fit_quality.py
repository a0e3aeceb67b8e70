"""Fits one quality figure a model and purpose from published benchmark scores.

Scores of different tables are not comparable: the same model gets 44 to 48 points in
the same benchmark. So every (benchmark, source) has an offset of its own, and models
are compared through the tables they share. In logits above chance:

    score = benchmark + table + ability(model, purpose) + noise
    ability = size and date (general, and a little by purpose) + family + model
              + what family and model do better or worse at this purpose

All effects are Gaussian with the spreads below, so the fit is one linear solve and
gives its own uncertainty. This is a Rasch model (one-parameter item response) with
size and date as the prior. A model without scores gets the prior of its size, date and
family, with the band that follows. The spreads maximise the marginal likelihood
(`--search` looks for better ones); leaving out one model at a time checks the bands.

    python scripts/fit_quality.py           # fit and write catalogs/models/quality.json
    python scripts/fit_quality.py --search  # look for better spreads first

Needs numpy, which the program itself does not.
"""

import argparse
import csv
import datetime
import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import numpy.typing as npt

from probe.catalog.model_spec import ModelSpec
from probe.catalog.models import all_models

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "catalogs" / "benchmarks" / "quality"
OUTPUT = ROOT / "catalogs" / "models" / "quality.json"
PURPOSES = ("general", "korean", "coding", "reasoning")
WITHOUT_SCORES = {"vision": "general", "embedding": "general"}  # purpose, and whose points it is printed in
BAND = 1.2816  # 10th to 90th percentile
EXTRA_BAND = 0.5  # logits, for purposes that no score in the data is about

Array = npt.NDArray[np.float64]

# Standard deviations in logits. Found by --search on the data of 2026-11-21.
SPREADS = {
    "table": 0.33,
    "noise": 0.33,
    "family": 0.21,
    "model": 0.25,
    "family_purpose": 0.33,
    "model_purpose": 0.1,  # the likelihood falls only by 0.8 from its best at 0.02: kept for caution
    "purpose_slope": 0.185,
}
_VAGUE = 3.0  # of offsets and slopes that the data determine
_LAST_SCORED_MONTH = 11  # December 2025, counted from January: hardly a score is of a newer model
_BY_ID = {model.id: model for model in all_models()}
# Makers whose models are trained for Korean first.
KOREAN_MAKERS = frozenset(
    {
        "Bllossom", "K-intelligence", "KORMo-Team", "KT", "Kakao", "LG AI Research", "MLP-KTLim",
        "Motif Technologies", "NAVER", "NC AI", "NCSOFT / NC AI", "SK Telecom", "Trillion Labs",
        "Upstage", "beomi", "dnotitia", "yanolja",
    }
)  # fmt: skip


class Score(NamedTuple):
    """One published figure in logits above chance."""

    model: ModelSpec
    benchmark: str
    purpose: str
    table: str
    value: float


class Key(NamedTuple):
    """What an ability is about."""

    model: ModelSpec
    purpose: str


def read_benchmarks() -> dict[str, Any]:
    """The table of benchmarks.toml."""
    return tomllib.loads((DATA / "benchmarks.toml").read_text(encoding="utf-8"))


def to_logit(score: float, chance: float, full: float) -> float:
    """Share of what is above guessing, as a logit; ends are cut at 2 and 98 percent."""
    share = (score / full - chance) / (1 - chance)
    share = min(max(share, 0.02), 0.98)
    return math.log(share / (1 - share))


def to_points(logit: float, chance: float, full: float) -> float:
    """The inverse, in percent of a perfect score."""
    share = 1 / (1 + math.exp(-logit))
    return 100 * (chance + (1 - chance) * share) if full else 0.0


def read_scores(benchmarks: dict[str, Any]) -> list[Score]:
    """Scores of models that the catalog has, less those left out with a reason."""
    models = {model.id: model for model in all_models()}
    scores = []
    with (DATA / "scores.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rule = benchmarks["benchmark"].get(row["benchmark"])
            if rule is None or row["left_out"] or row["model_id"] not in models:
                continue
            value = to_logit(float(row["score"]), rule.get("chance", 0.0), rule.get("full", 100))
            scores.append(
                Score(models[row["model_id"]], row["benchmark"], rule["purpose"], row["source"], value)
            )
    return scores


def features(model: ModelSpec) -> list[float]:
    """Size read per token, size held, and date of release, each about zero in the middle."""
    active, total = model.params_active or 1, model.params_text or 1
    return [math.log2(active / 8e9) / 3, math.log2(total / 8e9) / 3, _years(model)]


def _years(model: ModelSpec) -> float:
    """Years after the start of 2025.

    A fine-tune counts half its base's date. Months that few scores are from count half:
    that progress goes on at the same pace is an extrapolation.
    """
    months = _months(model.release)
    base = _BY_ID.get(model.base_model or "")
    if base is not None:
        months = (months + _months(base.release)) / 2
    return (min(months, _LAST_SCORED_MONTH) + max(months - _LAST_SCORED_MONTH, 0) / 2) / 12


def _months(release: str | None) -> float:
    year, month = (release or "2025-01").split("-")
    return (int(year) - 2025) * 12 + int(month) - 1


def _design(keys: list[Key]) -> dict[str, Array]:
    rows = [features(key.model) for key in keys]
    slopes = np.array(rows)
    thinking = np.array([[key.model.variant == "thinking"] for key in keys], dtype=float)
    korean = np.array(
        [
            [_speaks_korean(key.model), key.model.vendor in KOREAN_MAKERS]
            if key.purpose == "korean"
            else [False, False]
            for key in keys
        ],
        dtype=float,
    )
    return {"slopes": slopes, "thinking": thinking, "korean": korean}


def _speaks_korean(model: ModelSpec) -> bool:
    return any(language.code == "ko" for language in model.languages)


def _same(left: list[Any], right: list[Any]) -> Array:
    codes = {value: index for index, value in enumerate(dict.fromkeys([*left, *right]))}
    a = np.array([codes[value] for value in left])
    b = np.array([codes[value] for value in right])
    same: Array = (a[:, None] == b[None, :]).astype(float)
    return same


def ability_covariance(left: list[Key], right: list[Key], spreads: dict[str, float]) -> Array:
    """Prior covariance of abilities: what two (model, purpose) pairs have in common."""
    a, b = _design(left), _design(right)
    purposes = _same([key.purpose for key in left], [key.purpose for key in right])
    families = _same([_family(key.model) for key in left], [_family(key.model) for key in right])
    models = _same([key.model.id for key in left], [key.model.id for key in right])
    covariance: Array = a["slopes"] @ b["slopes"].T * _VAGUE**2
    covariance += a["slopes"] @ b["slopes"].T * purposes * spreads["purpose_slope"] ** 2
    covariance += a["thinking"] @ b["thinking"].T * (0.5**2 + purposes * 0.3**2)
    covariance += a["korean"] @ b["korean"].T * 0.5**2
    covariance += families * (spreads["family"] ** 2 + purposes * spreads["family_purpose"] ** 2)
    covariance += models * (spreads["model"] ** 2 + purposes * spreads["model_purpose"] ** 2)
    return covariance


def _family(model: ModelSpec) -> str:
    return f"{model.vendor} {model.family}"


def score_covariance(scores: list[Score], spreads: dict[str, float]) -> Array:
    """Prior covariance of the scores themselves."""
    keys = [Key(score.model, score.purpose) for score in scores]
    benchmarks = [score.benchmark for score in scores]
    tables = [(score.benchmark, score.table) for score in scores]
    covariance = ability_covariance(keys, keys, spreads)
    covariance += _same(benchmarks, benchmarks) * _VAGUE**2
    covariance += _same(tables, tables) * spreads["table"] ** 2
    covariance += np.eye(len(scores)) * spreads["noise"] ** 2
    return covariance


def log_likelihood(scores: list[Score], spreads: dict[str, float]) -> float:
    """Marginal log likelihood of all scores under these spreads."""
    values = np.array([score.value for score in scores])
    lower = np.linalg.cholesky(score_covariance(scores, spreads))
    whitened = np.linalg.solve(lower, values)
    return float(-0.5 * whitened @ whitened - np.log(np.diag(lower)).sum())


def search(scores: list[Score]) -> dict[str, float]:
    """Spreads with a higher likelihood, one at a time, until none helps."""
    spreads, best = dict(SPREADS), log_likelihood(scores, SPREADS)
    improved = True
    while improved:
        improved = False
        for name in SPREADS:
            for factor in (0.75, 0.9, 1.11, 1.33):
                trial = {**spreads, name: spreads[name] * factor}
                value = log_likelihood(scores, trial)
                if value > best + 0.05:
                    spreads, best, improved = trial, value, True
        print(f"{best:.1f}", {name: round(value, 3) for name, value in spreads.items()}, flush=True)
    return spreads


def predict(
    scores: list[Score], keys: list[Key], reference: dict[str, str], spreads: dict[str, float]
) -> tuple[Array, Array]:
    """Mean and spread of what each key would score in its purpose's reference benchmark."""
    benchmarks = [score.benchmark for score in scores]
    asked = [reference[key.purpose] for key in keys]
    across = ability_covariance(keys, [Key(score.model, score.purpose) for score in scores], spreads)
    across += _same(asked, benchmarks) * _VAGUE**2
    own = np.array([ability_covariance([key], [key], spreads)[0, 0] for key in keys]) + _VAGUE**2
    values = np.array([score.value for score in scores])
    solved = np.linalg.solve(score_covariance(scores, spreads), np.column_stack([values, across.T]))
    mean = across @ solved[:, 0]
    variance = own - np.einsum("ij,ji->i", across, solved[:, 1:])
    return mean, np.sqrt(np.maximum(variance, 1e-6))


def check(scores: list[Score], benchmarks: dict[str, Any], spreads: dict[str, float]) -> dict[str, float]:
    """Every model's scores predicted without that model: error in points, and how often the band holds."""
    covariance = score_covariance(scores, spreads)
    values = np.array([score.value for score in scores])
    errors, inside = [], 0
    for name in dict.fromkeys(score.model.id for score in scores):
        out = np.array([score.model.id == name for score in scores])
        kept = ~out
        weights = np.linalg.solve(covariance[np.ix_(kept, kept)], covariance[np.ix_(kept, out)])
        mean = weights.T @ values[kept]
        own = covariance[np.ix_(out, out)]
        deviation = np.sqrt(np.diag(own - weights.T @ covariance[np.ix_(kept, out)]))
        for index, position in enumerate(np.flatnonzero(out)):
            score = scores[position]
            rule = benchmarks["benchmark"][score.benchmark]
            chance, full = rule.get("chance", 0.0), rule.get("full", 100)
            errors.append(abs(to_points(mean[index], chance, full) - to_points(score.value, chance, full)))
            inside += bool(abs(mean[index] - score.value) <= BAND * deviation[index])
    return {
        "scores": len(scores),
        "median_error_points": round(float(np.median(errors)), 1),
        "p90_error_points": round(float(np.quantile(errors, 0.9)), 1),
        "share_in_band": round(inside / len(scores), 3),
    }


def rated_purposes(model: ModelSpec) -> tuple[str, ...]:
    """Purposes for which a figure makes sense: what it is made for."""
    if model.variant in ("base", "draft", "guard", "translation"):
        return ()
    if model.modality == "embedding":
        return ("embedding",)
    if model.modality == "reranker":
        return ()
    vision = ("vision",) if "vision" in model.purposes else ()
    return (*PURPOSES, *vision)


def fit(spreads: dict[str, float]) -> dict[str, Any]:
    """The document that catalogs/models/quality.json holds."""
    benchmarks = read_benchmarks()
    scores = read_scores(benchmarks)
    reference = dict(benchmarks["reference"])
    scored = {(score.model.id, score.purpose) for score in scores}
    keys, printed = [], []
    for model in all_models():
        for purpose in rated_purposes(model):
            keys.append(Key(model, WITHOUT_SCORES.get(purpose, purpose)))
            printed.append(purpose)
    mean, deviation = predict(scores, keys, reference, spreads)
    result: dict[str, dict[str, Any]] = {}
    for key, purpose, middle, spread in zip(keys, printed, mean, deviation, strict=True):
        rule = benchmarks["benchmark"][reference[key.purpose]]
        chance, full = rule.get("chance", 0.0), rule.get("full", 100)
        wide = math.hypot(spread, EXTRA_BAND) if purpose in WITHOUT_SCORES else spread
        low, value, high = (
            round(to_points(middle + step * wide, chance, full), 1) for step in (-BAND, 0.0, BAND)
        )
        basis = "fit" if (key.model.id, purpose) in scored else "prior"
        result.setdefault(key.model.id, {})[purpose] = [low, value, high, basis]
    return {
        "schema_version": 1,
        "script": "scripts/fit_quality.py",
        "data_sha256": data_hash(),
        "fitted": datetime.date.today().isoformat(),
        "reference": {**reference, **{p: reference[q] for p, q in WITHOUT_SCORES.items()}},
        "spreads": {name: round(value, 3) for name, value in spreads.items()},
        "check": check(scores, benchmarks, spreads),
        "scores": result,
    }


def data_hash() -> str:
    """SHA-256 over the scores and the table of benchmarks."""
    digest = hashlib.sha256()
    for name in ("scores.csv", "benchmarks.toml"):
        digest.update((DATA / name).read_bytes())
    return digest.hexdigest()


def main() -> int:
    """Fits, checks and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--search", action="store_true", help="look for spreads of higher likelihood first")
    parser.add_argument("--dry-run", action="store_true", help="print the check, write nothing")
    arguments = parser.parse_args()
    spreads = search(read_scores(read_benchmarks())) if arguments.search else SPREADS
    document = fit(spreads)
    print(json.dumps({name: document[name] for name in ("spreads", "check")}, indent=1))
    if not arguments.dry_run:
        text = json.dumps(document, separators=(",", ":")).replace('],"', '],\n"').replace('},"', '},\n"')
        OUTPUT.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
