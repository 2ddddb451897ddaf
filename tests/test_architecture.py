"""The map of the rooms, held: who may import whom, what stays where, how big a module gets.

Everything is read from the source text, so imports inside functions and under ``TYPE_CHECKING`` count as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

import streamer

ROOT = Path(streamer.__file__).parent

# From top to bottom: a unit (a module or a package right below `streamer`) imports from lower lines only, never from
# its own line.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("commands", "demo", "running", "simulate", "stored"),
    ("demo_audit", "demo_view", "show"),
    ("check", "rebuild", "reshard"),
    ("wiring",),
    ("buses", "daemon"),
    ("ownership",),
    ("generation",),
    ("rounds",),
    ("desk", "inquiry", "sizing"),
    ("pipeline", "published", "status"),
    ("roster",),
    ("bulletin", "tally"),
    ("history", "arrival"),
    ("source", "planner", "ledger", "bus", "simulator"),
    ("config",),
    ("settings_kafka",),
    ("settings_sections",),
    ("patience",),
    ("settings_reading", "settings_types", "logs", "complaints"),
    ("metrics", "redaction", "clock", "failpoints"),
    ("delays", "metric_definitions"),
    ("metric_types", "spread"),
    ("errors",),
    ("model",),
)
LAYER_OF = {unit: depth for depth, units in enumerate(LAYERS) for unit in units}

# What of ours a room may know besides itself. The pure rooms know no clock.
ROOM_MAY_IMPORT: dict[str, set[str]] = {
    "source": {"config", "logs", "metrics", "clock", "failpoints", "errors", "model"},
    "bus": {"config", "logs", "metrics", "clock", "failpoints", "errors", "model"},
    "planner": {"errors", "model"},
    "ledger": {"errors", "model"},
    "simulator": {"config", "settings_types", "settings_reading", "clock", "errors", "model"},
}
MAY_IMPORT_SIMULATOR = {"demo", "demo_audit", "demo_view", "simulate"}
IMPURE = {"asyncio", "time", "random", "aiohttp", "aiokafka", "sqlite3"}
WEB_SERVERS = {"status", "simulator"}

LONGEST_MODULE = 400
MEDIAN_MODULE = 150


def modules_below(root: Path) -> dict[str, ast.Module]:
    """Every module of the package at ``root``, parsed, by its dotted name; a package goes by its ``__init__``."""
    parsed = {}
    for path in sorted(root.rglob("*.py")):
        name = ".".join((root.name, *path.relative_to(root).with_suffix("").parts))
        parsed[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return parsed


def imported_names(module: str, tree: ast.Module) -> Iterator[str]:
    """Every dotted name the module imports: ``from a import b`` is ``a.b``, ``import a.b`` is ``a`` and ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
                if alias.asname is None:  # binds the top package, and so all of it
                    yield alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{base}.{alias.name}"


def unit_of(name: str) -> str:
    """The unit a dotted name below ``streamer`` belongs to; empty for the package itself."""
    return name.split(".")[1] if "." in name else ""


MODULES = modules_below(ROOT)
IMPORTS = {name: set(imported_names(name, tree)) for name, tree in MODULES.items()}


def modules_imported(imports: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The imports that are modules among ``imports``' own: a name in a module counts as the module."""

    def module_of(name: str) -> str | None:
        for candidate in (name, f"{name}.__init__", name.rpartition(".")[0], f"{name.rpartition('.')[0]}.__init__"):
            if candidate in imports:
                return candidate
        return None

    return {name: {found for wanted in names if (found := module_of(wanted))} for name, names in imports.items()}


GRAPH = modules_imported(IMPORTS)


def unit_imports(graph: Mapping[str, set[str]]) -> Iterator[tuple[str, str, str]]:
    """Each import from one unit into another: the module, its unit, the unit it imports. The version is anyone's."""
    for name, targets in graph.items():
        for target in sorted({unit_of(target) for target in targets} - {unit_of(name), "__init__"}):
            yield name, unit_of(name), target


def upward(graph: Mapping[str, set[str]]) -> list[str]:
    """The imports that do not go downwards, as sentences."""
    return [
        f"{name} imports {target}"
        for name, unit, target in unit_imports(graph)
        if unit in LAYER_OF and target in LAYER_OF and LAYER_OF[target] <= LAYER_OF[unit]
    ]


def third_party_outside_its_room(name: str, imports: set[str]) -> list[str]:
    """The imports of aiohttp and aiokafka that ``name`` must not have."""
    unit = unit_of(name)
    return sorted(
        wanted
        for wanted in imports
        if (wanted.split(".")[0] == "aiokafka" and unit != "bus")
        or (
            wanted.split(".")[0] == "aiohttp"
            and unit != "source"
            and not (unit in WEB_SERVERS and wanted.split(".")[1:2] == ["web"])
        )
    )


def test_every_module_has_its_place_on_the_map() -> None:
    """A new module is given a layer before it is used."""
    assert {unit_of(name) for name in MODULES} - {"__init__"} - set(LAYER_OF) == set()


def test_imports_go_downwards_only() -> None:
    assert upward(GRAPH) == []


def test_an_import_between_rooms_or_upwards_is_noticed() -> None:
    graph = {"streamer.source.wire": {"streamer.bus.events"}, "streamer.model": {"streamer.clock"}}
    assert upward(graph) == ["streamer.source.wire imports bus", "streamer.model imports clock"]


@pytest.mark.parametrize("room", sorted(ROOM_MAY_IMPORT))
def test_a_room_knows_only_the_common_ground(room: str) -> None:
    known = {(name, target) for name, unit, target in unit_imports(GRAPH) if unit == room}
    assert {(name, target) for name, target in known if target not in ROOM_MAY_IMPORT[room]} == set()


def test_only_the_commands_for_demonstration_know_the_simulator() -> None:
    users = {unit for _, unit, target in unit_imports(GRAPH) if target == "simulator"}
    assert users - MAY_IMPORT_SIMULATOR == set()


def test_no_import_cycle() -> None:
    try:
        TopologicalSorter({name: targets - {name} for name, targets in GRAPH.items()}).prepare()
    except CycleError as exc:
        pytest.fail(" imports ".join(reversed(exc.args[1])))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_aiohttps_client_stays_in_source_and_aiokafka_in_bus(name: str) -> None:
    assert third_party_outside_its_room(name, IMPORTS[name]) == []


def test_a_client_let_in_by_the_servers_door_is_noticed() -> None:
    for text in ("import aiohttp", "import aiohttp.web", "from aiohttp import ClientSession", "import aiohttp as web"):
        wanted = set(imported_names("streamer.status.server", ast.parse(text)))
        assert third_party_outside_its_room("streamer.status.server", wanted), text
    server = set(imported_names("streamer.status.server", ast.parse("from aiohttp import web")))
    assert third_party_outside_its_room("streamer.status.server", server) == []
    assert third_party_outside_its_room("streamer.daemon", server) == ["aiohttp.web"]


@pytest.mark.parametrize("name", sorted(name for name in MODULES if unit_of(name) in {"planner", "ledger"}))
def test_planner_and_ledger_are_pure(name: str) -> None:
    assert {wanted for wanted in IMPORTS[name] if wanted.split(".")[0] in IMPURE} == set()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_is_imported_by_a_string(name: str) -> None:
    """Else the map would not see it."""
    names = {node.id for node in ast.walk(MODULES[name]) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(MODULES[name]) if isinstance(node, ast.Attribute)}
    assert {"__import__", "import_module"} & (names | attributes) == set()


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.endswith("__init__")))
def test_init_imports_nothing(name: str) -> None:
    assert IMPORTS[name] == set()


def test_relative_and_inner_imports_are_seen() -> None:
    text = "def late():\n    from ..bus import events\n    from . import wire\n"
    assert set(imported_names("streamer.source.client", ast.parse(text))) == {
        "streamer.bus.events",
        "streamer.source.wire",
    }


def test_modules_stay_small() -> None:
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in ROOT.rglob("*.py")
        if path.name != "__init__.py"
    }
    assert {name: count for name, count in lines.items() if count > LONGEST_MODULE} == {}
    assert median(lines.values()) <= MEDIAN_MODULE
