"""What a group's page answers: who can run it, who serves it, what is the same or old, what changes bring."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from probe.catalog.enrich import enrich
from probe.catalog.from_spec import from_spec
from probe.errors import InputError, UnknownNameError
from probe.fleet.compute import complete_hardware_only
from probe.fleet.ladder import machines_for
from probe.fleet.scan import scan_folder
from probe.fleet.servers import with_servers
from probe.fleet.summary import build_fleet
from probe.fleet.what_if import apply_change, changed_machine, read_change
from probe.recommender.options import Options
from probe.report.build import build_report
from probe.report.encode import to_json, to_json_pieces
from probe.report.fleet_documents import FleetDocument, FleetModel
from tests.unit.fleet_folders import NOW_S, OFFICE_PC, SERVER, edited, put, report_as, report_of

ADDRESS = "http://10.0.0.9:8000/v1"


def answer(folder: Path, *, model: str | None = None, lang: str = "en") -> FleetDocument:
    return build_fleet(
        scan_folder(folder),
        folder=folder,
        lang=lang,
        now_s=NOW_S,
        created_at="2026-11-21T10:00:00Z",
        with_models=True,
        model=None if model is None else (model, model),
    )


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """Three equal office PCs, one of them seen last spring, and the group's server."""
    for number in (1, 2):
        put(tmp_path, f"pc{number}.json", report_as(OFFICE_PC, name=f"pc{number}", host_id=f"id{number}"))
    old = report_as(OFFICE_PC, name="pc3", host_id="id3", created_at="2026-04-01T00:00:00Z")
    put(tmp_path, "pc3.json", old)
    put(tmp_path, "box.json", report_as(SERVER, name="box", host_id="id9", api_url=ADDRESS))
    return tmp_path


def test_lines_are_merged_and_never_computed_anew(group: Path) -> None:
    """Verdict and speed of every machine are those of its own report, to four digits."""
    document = answer(group)
    own = {line.id: line for line in report_of(OFFICE_PC).models}
    compared = 0
    for model in document.models:
        line = own[model.id]
        entry = next((one for one in model.runs_on if one.host == "pc1"), None)
        assert (entry is not None) == (line.verdict.value in ("comfortable", "usable", "slow"))
        if entry is not None and entry.decode_tokens_per_s is not None:
            assert line.decode_tokens_per_s is not None
            assert entry.decode_tokens_per_s.value == pytest.approx(line.decode_tokens_per_s.value, rel=1e-3)
            assert entry.verdict == line.verdict.value
            compared += 1
        assert sum(model.counts.values()) == 4
    assert compared > 50


def test_machines_of_a_model_stand_best_first_and_those_that_cannot_are_counted(group: Path) -> None:
    order = ["comfortable", "usable", "slow"]
    for model in answer(group).models:
        ranks = [
            (
                order.index(one.verdict),
                -one.decode_tokens_per_s.value if one.decode_tokens_per_s else 0.0,
                one.host,
            )
            for one in model.runs_on
        ]
        assert ranks == sorted(ranks)
        assert [model.counts[word] for word in order] == [
            sum(one.verdict == word for one in model.runs_on) for word in order
        ]


def test_a_document_in_pieces_is_the_document_as_one(group: Path) -> None:
    whole = answer(group)
    assert len(whole.models) > 100
    for models in (whole.models, whole.models[:1], ()):
        wanted = msgspec.structs.replace(whole, models=models)
        pieces = list(to_json_pieces(msgspec.structs.replace(whole, models=()), "models", models))
        assert b"".join(pieces) == to_json(wanted)
        assert len(pieces) == len(models) + 2


def test_a_name_that_looks_like_the_list_does_not_break_the_pieces(tmp_path: Path) -> None:
    put(tmp_path, "a.json", report_as(OFFICE_PC, name='\n  "models": []'))
    whole = answer(tmp_path)
    pieces = to_json_pieces(msgspec.structs.replace(whole, models=()), "models", whole.models)
    assert b"".join(pieces) == to_json(whole)


def test_pieces_of_a_list_that_is_not_empty_are_a_mistake(group: Path) -> None:
    whole = answer(group)
    with pytest.raises(ValueError, match="models is no empty list"):
        next(to_json_pieces(whole, "models", whole.models))


def test_a_document_that_fails_half_way_is_still_one_document(group: Path) -> None:
    """Half of it stands in a pipe already: it must end as JSON, and say that it is not whole."""
    whole = answer(group)

    def failing() -> Iterator[FleetModel]:
        yield from whole.models[:3]
        raise KeyError("x")

    empty = msgspec.structs.replace(whole, models=())
    broken = msgspec.structs.replace(empty, models_complete=False)
    written: list[bytes] = []
    pieces = to_json_pieces(empty, "models", failing(), unfinished=broken)
    with pytest.raises(KeyError):
        while True:
            written.append(next(pieces))
    assert b"".join(written) == to_json(
        msgspec.structs.replace(whole, models=whole.models[:3], models_complete=False)
    )


def test_who_can_run_a_model_comes_best_first_with_the_server(group: Path) -> None:
    asked = answer(group, model="Qwen/Qwen3-32B").asked
    assert asked is not None
    assert asked.machines[0].host == "box"
    assert {entry.verdict for entry in asked.machines if entry.host != "box"} <= {"slow", "no"}
    assert [(offer.host, offer.address) for offer in asked.servers] == [("box", ADDRESS)]


def test_a_member_is_sent_to_the_server_that_runs_the_wish(group: Path) -> None:
    document = answer(group)
    wishes = {machine.host: machine.wish for machine in document.machines}
    assert wishes["pc1"] is not None
    assert (wishes["pc1"].route, [one.address for one in wishes["pc1"].servers]) == (
        "shared_server",
        [ADDRESS],
    )
    assert wishes["box"] is not None
    assert "box" not in [one.host for one in wishes["box"].servers]


def test_without_a_server_the_way_is_a_rented_gpu(tmp_path: Path) -> None:
    put(tmp_path, "pc.json", report_as(OFFICE_PC, name="pc"))
    (machine,) = answer(tmp_path).machines
    assert machine.wish is not None
    assert (machine.wish.route, machine.wish.servers) == ("cloud", ())
    assert machine.wish.cloud


def test_a_desktop_with_a_gpu_is_not_offered_to_others(tmp_path: Path) -> None:
    put(tmp_path, "game.json", report_as("RTX 4090; 64GB DDR5-5600 x2; windows 11", name="game"))
    put(tmp_path, "pc.json", report_as(OFFICE_PC, name="pc"))
    assert answer(tmp_path).servers == ()


def test_equal_hardware_is_a_group_of_several_machines(group: Path) -> None:
    document = answer(group)
    assert [one.hosts for one in document.groups] == [("pc1", "pc2", "pc3")]
    assert document.totals.machines == 4


def test_old_reports_are_called_old(group: Path) -> None:
    document = answer(group)
    assert [(one.host, one.age_days) for one in document.machines if one.stale] == [("pc3", 234)]


def test_equal_names_are_told_apart(tmp_path: Path) -> None:
    put(tmp_path, "a.json", report_as(OFFICE_PC, name="pc", host_id="abcdef01"))
    put(tmp_path, "b.json", report_as(SERVER, name="pc", host_id="123456ff"))
    assert sorted(one.host for one in answer(tmp_path).machines) == ["pc (123456)", "pc (abcdef)"]


def test_findings_are_counted_over_machines_in_the_language_asked_for(tmp_path: Path) -> None:
    found = {"id": "single_channel", "severity": "warning", "title": "one DIMM", "values": {}}
    for number in range(7):
        report = report_as(OFFICE_PC, name=f"pc{number}")
        (tmp_path / f"{number}.json").write_bytes(edited(report, {"findings": [found, found]}))
    (finding,) = answer(tmp_path, lang="ko").findings
    assert (finding.id, len(finding.hosts)) == ("single_channel", 7)


def test_hardware_alone_is_computed_where_there_is_no_report(tmp_path: Path) -> None:
    machine = enrich(from_spec(OFFICE_PC))
    host = msgspec.structs.replace(machine.host, name="node-1")
    (tmp_path / "node.json").write_bytes(to_json(msgspec.structs.replace(machine, host=host)))
    before = scan_folder(tmp_path)
    after = complete_hardware_only(before, tmp_path, "en")
    assert [member.lines for member in before.members] == [None]
    (entry,) = machines_for(after.members, "Qwen/Qwen3-1.7B", {("name", "node-1"): "node-1"})
    line = next(line for line in report_of(OFFICE_PC).models if line.id == "Qwen/Qwen3-1.7B")
    assert entry.verdict == line.verdict.value


@pytest.mark.parametrize("text", ["rom=32GB", "ram", "ram=", "", "=", "channels=two", "channels=0"])
def test_a_change_that_is_none_is_wrong_input(text: str) -> None:
    with pytest.raises(InputError):
        read_change(text)


def test_a_change_names_a_device_the_catalog_knows() -> None:
    assert read_change("gpu=RTX 3060 12GB; ram=32GB").ram_bytes == 32 * 2**30
    with pytest.raises(UnknownNameError):
        read_change("gpu=RTX 3060")


@pytest.mark.parametrize(
    ("spec", "change", "changes"),
    [
        (OFFICE_PC, "ram=32GB", True),
        (OFFICE_PC, "ram=16GB", False),
        ("Core i5-8500; 64GB DDR4-2666 x2", "ram=32GB", False),
        ("M4 Max 64GB", "ram=128GB", False),  # soldered
        (OFFICE_PC, "channels=2", True),
        ("Core i5-8500; 64GB DDR4-2666 x2", "channels=2", False),
    ],
)
def test_a_change_reaches_machines_that_have_less(spec: str, change: str, changes: bool) -> None:
    machine = enrich(from_spec(spec))
    assert (changed_machine(machine, read_change(change)) is not None) == changes


def test_what_if_gives_the_figures_of_a_machine_built_so(group: Path) -> None:
    """One estimator: the changed PC gets the lines of a report made on such a PC."""
    fleet, found = apply_change(scan_folder(group), group, read_change("ram=32GB; channels=2"), "en")
    assert found.hosts == ("pc1", "pc2", "pc3")
    built = build_report(
        enrich(from_spec("Core i5-8500; 32GB DDR4-2666 x2; windows 11")),
        Options(),
        lang="en",
        created_at="2026-11-21T00:00:00Z",
    )
    lines = next(member.lines for member in fleet.members if member.name == "pc1")
    assert lines is not None
    letters = {"comfortable": "c", "usable": "u", "slow": "s", "no": "n", "unknown": "?"}
    differing = [line.id for line in built.models if letters[line.verdict.value] != lines.verdict(line.id)]
    assert differing == []
    assert sum(found.raised.values()) > 0


def test_a_members_own_report_names_the_server_and_its_address(group: Path) -> None:
    report = report_as(OFFICE_PC, name="new", host_id="new")
    routes = with_servers(report, group, "ko").summary.routes
    servers = [route for route in routes if route.route == "shared_server"]
    assert [route.address for route in servers] == [ADDRESS]
    assert servers[0].verdict in ("comfortable", "usable")
    assert "box" in servers[0].text
    assert [route.route for route in routes] == ["own_pc", "shared_server", "cloud"]


def test_a_server_is_not_sent_to_itself(tmp_path: Path) -> None:
    report = report_as(SERVER, name="box", host_id="id9", api_url=ADDRESS)
    put(tmp_path, "box.json", report)
    assert with_servers(report, tmp_path, "en") == report
