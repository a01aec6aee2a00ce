"""Evaluation: references, imports, merging, flags and diagnostics, as Pulumi ESC has them and as sophia extends them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sophia_cli.core.errors import InvalidEnvironment
from sophia_cli.esc.environment import Environment
from sophia_cli.esc.evaluate import Context
from sophia_cli.esc.load import load

Evaluate = Callable[..., Environment]
Problems = Callable[..., list[tuple[str, int, int, str]]]


def values(environment: Environment) -> dict[str, Any]:
    assert environment.errors == ()
    return environment.values()


# -- references ----------------------------------------------------------------------------------------------------------


def test_references_reach_keys_quoted_keys_and_elements(evaluate: Evaluate) -> None:
    found = evaluate(
        'values:\n  a: {b: 1, "x-y": [p, q]}\n  "34": four\n  r: ["${a.b}", \'${a["x-y"][1]}\', \'${["34"]}\', "${a}"]\n'
    )
    assert values(found)["r"] == [1, "q", "four", {"b": 1, "x-y": ["p", "q"]}]


def test_a_lone_reference_keeps_the_type_and_one_inside_text_becomes_text(evaluate: Evaluate) -> None:
    found = evaluate('values: {n: 1.10, t: true, z: null, r: "${n}", s: "v${n} ${t} [${z}]"}')
    assert values(found)["s"] == "v1.10 true []"
    assert values(found)["r"] == 1.1


def test_lists_and_maps_in_text_are_quoted_and_sorted(evaluate: Evaluate) -> None:
    found = evaluate('values: {l: [a, 1, "q\\"\\n"], m: {b: 2, a: "x y"}, s: "${l} | ${m}"}')
    assert values(found)["s"] == '"a","1","q\\"\\n" | "a"="x y","b"="2"'


def test_two_dollars_are_one_and_a_lone_dollar_is_itself(evaluate: Evaluate) -> None:
    found = evaluate('values: {a: "$$5 and $${b} and $x and $", m: {"$$k": 1}}')
    assert values(found) == {"a": "$5 and ${b} and $x and $", "m": {"$k": 1}}


def test_a_map_can_refer_to_its_own_other_keys(evaluate: Evaluate) -> None:
    assert values(evaluate('values: {a: {p: "${a.q}", q: x}, b: "${a.p}"}'))["b"] == "x"


def test_values_may_be_left_out(evaluate: Evaluate) -> None:
    assert values(evaluate("description: d\nimports: []\na: 1\nb: ${a}\n")) == {"a": 1, "b": 1}


def test_text_that_looks_like_numbers_stays_text(evaluate: Evaluate) -> None:
    found = evaluate('values: {a: "0123", b: "1e3", c: "no", d: no, s: "${a}${b}${c}${d}"}')
    assert values(found) == {"a": "0123", "b": "1e3", "c": "no", "d": "no", "s": "01231e3nono"}


def test_sections_keep_user_maps_that_have_a_key_named_value(evaluate: Evaluate) -> None:
    assert values(evaluate("values: {a: {value: 1, other: 2}}")) == {"a": {"value": 1, "other": 2}}


# -- merging -------------------------------------------------------------------------------------------------------------


def test_later_imports_win_and_own_values_win_over_all(evaluate: Evaluate) -> None:
    files = {"a.yaml": "values: {x: a, y: a, z: a, m: {k: a, a: 1}}", "b.yml": "values: {y: b, z: b, m: {k: b, b: 2}}"}
    found = evaluate("imports: [a, b]\nvalues: {z: own, m: {own: 3}}", files)
    assert values(found) == {"x": "a", "y": "b", "z": "own", "m": {"k": "b", "a": 1, "b": 2, "own": 3}}


def test_null_replaces_and_lists_replace(evaluate: Evaluate) -> None:
    found = evaluate("imports: [a]\nvalues: {m: null, l: [3]}", {"a.yaml": "values: {m: {k: 1}, l: [1, 2]}"})
    assert values(found) == {"m": None, "l": [3]}


def test_references_see_merged_values_and_merge_with_the_base_at_their_own_place(evaluate: Evaluate) -> None:
    base = {"a.yaml": "values: {src: {k: 1}, dst: {base: 0}}"}
    found = evaluate('imports: [a]\nvalues: {src: {l: 2}, dst: "${src}", k: "${src.k}"}', base)
    assert values(found) == {"src": {"k": 1, "l": 2}, "dst": {"base": 0, "k": 1, "l": 2}, "k": 1}


def test_an_import_sees_only_its_own_values(evaluate: Evaluate) -> None:
    base = {"a.yaml": 'values: {name: base, greeting: "hi ${name}"}'}
    assert values(evaluate("imports: [a]\nvalues: {name: own}", base)) == {"name": "own", "greeting": "hi base"}


def test_an_unmerged_import_is_reachable_only_by_name(evaluate: Evaluate) -> None:
    base = {"proj/creds.yaml": "values: {k: {v: 1}}"}
    found = evaluate("imports: [{proj/creds: {merge: false}}]\nvalues: {a: '${imports[\"proj/creds\"].k.v}'}", base)
    assert values(found) == {"a": 1}


def test_an_environment_can_be_referred_to_without_importing_it(evaluate: Evaluate) -> None:
    assert values(evaluate('values: {a: "${environments.p.e.k[0]}"}', {"p/e.yaml": "values: {k: [7]}"})) == {"a": 7}


def test_a_diamond_of_imports_is_evaluated_once_and_no_cycle(evaluate: Evaluate, problems: Problems) -> None:
    files = {"a.yaml": "imports: [c]", "b.yaml": "imports: [c]", "c.yaml": 'values: {x: "${lost}"}'}
    assert [one[3] for one in problems("imports: [a, b]", files)] == ['unknown property "lost"']


def test_project_names_are_found_beside_the_first_file_and_on_the_search_path(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    shelf = tmp_path / "shelf"
    files = {"p/a.yaml": "imports: [p/b, far]", "p/b.yaml": "values: {b: 1}", "shelf/far.yaml": "values: {far: 2}"}
    assert values(evaluate("imports: [p/a]", files, search_path=[shelf])) == {"b": 1, "far": 2}


def test_context_names_the_current_and_the_root_environment(evaluate: Evaluate) -> None:
    text = 'imports: [a]\nvalues: {me: "${context.currentEnvironment.name}", id: "${context.pulumi.user.id}"}'
    files = {"a.yaml": 'values: {it: "${context.currentEnvironment.name} of ${context.rootEnvironment.name}"}'}
    context = Context(values={"pulumi": {"user": {"id": "u1"}}})
    assert values(evaluate(text, files, context=context)) == {"me": "env", "it": "a of env", "id": "u1"}


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from(["a", "b c", "0123", "no"]))
TREES = st.recursive(SCALARS, lambda inner: st.dictionaries(st.sampled_from("pqr"), inner, max_size=3), max_leaves=8)
MAPS = st.dictionaries(st.sampled_from("pqr"), TREES, max_size=3)


def merged(base: Any, top: Any) -> Any:
    """The rule in five words: maps merge, all else replaces."""
    if isinstance(base, dict) and isinstance(top, dict):
        return {k: merged(base[k], top[k]) if k in base and k in top else {**base, **top}[k] for k in {**base, **top}}
    return top


@settings(max_examples=60, deadline=None)
@given(st.lists(MAPS, min_size=1, max_size=4))
def test_merging_is_maps_deep_and_all_else_replaced(
    tmp_path_factory: pytest.TempPathFactory, layers: list[Any]
) -> None:
    import json

    folder = tmp_path_factory.mktemp("merge")
    expected: Any = {}
    for index, layer in enumerate(layers):
        (folder / f"l{index}.yaml").write_text(json.dumps({"values": layer}))
        expected = merged(expected, layer)
    (folder / "top.yaml").write_text(json.dumps({"imports": [f"l{index}" for index in range(len(layers))]}))
    assert load(folder / "top.yaml").values() == expected


# -- secrets and unknowns ------------------------------------------------------------------------------------------------

SECRET = """
values:
  s: {fn::secret: hush}
  text: "x${s}x"
  list: ["${s}", open]
  joined: {fn::join: ["-", ["${s}", b]]}
  json: {fn::toJSON: {k: "${s}"}}
  b64: {fn::toBase64: "${s}"}
  string: {fn::toString: ["${s}"]}
  pieces: {fn::split: ["u", "${s}"]}
  piece: "${pieces[0]}"
  parsed: {fn::fromJSON: "${json}"}
  inner: "${parsed.k}"
  copy: "${text}"
"""


def test_secrets_spread_to_whatever_is_computed_from_them(evaluate: Evaluate) -> None:
    found = evaluate(SECRET)
    shown = values(found)
    assert shown.pop("list") == ["[secret]", "open"]
    assert set(shown.values()) == {"[secret]"}
    assert "hush" not in str(found.values())
    assert found.values(reveal=True)["inner"] == "hush"
    assert {"hush", "xhushx"} <= set(found.secret_texts())


def test_unknowns_spread_to_whatever_is_computed_from_them_and_fail_nothing(evaluate: Evaluate) -> None:
    text = """
values:
  p: {fn::open::aws-login: {oidc: {roleArn: x}}}
  field: "${p.a.b[0]}"
  text: "x${p.k}"
  joined: {fn::join: [",", ["${p.k}", b]]}
  json: {fn::toJSON: ["${p}"]}
  parsed: {fn::fromJSON: "${json}"}
  list: ["${p}", known]
"""
    shown = values(evaluate(text))
    assert shown.pop("list") == ["[unknown]", "known"]
    assert set(shown.values()) == {"[unknown]"}


def test_a_secret_may_wrap_a_reference_and_then_all_of_it_is_secret(evaluate: Evaluate) -> None:
    found = evaluate(
        'values: {m: {k: v}, s: {fn::secret: "${m}"}, k: "${s.k}", t: {fn::secret: "a-${m.k}"}, m2: "${m}"}'
    )
    assert values(found) == {"m": {"k": "v"}, "s": "[secret]", "k": "[secret]", "t": "[secret]", "m2": {"k": "v"}}
    assert found.values(reveal=True)["t"] == "a-v"


@pytest.mark.parametrize(
    "text",
    [
        "{v: {fn::validate: {schema: {const: '${s}'}, value: x}}}",
        "{v: {fn::validate: {schema: {pattern: '${s}'}, value: x}}}",
        "{v: {fn::open::file: {path: '${s}'}}}",
        "{v: {fn::open::env: {k: '${s}'}}}",
        "{v: {fn::fromJSON: '${s}'}}",
        "{v: {fn::fromBase64: '%${s}'}}",
        "{v: '${m.hushed}', m: {fn::fromJSON: {fn::secret: '{\"hushhush\": 1}'}}}",
        "{v: {fn::concat: ['${s}']}}",
        "{v: '${s.x}'}",
        "{v: {fn::validate: {schema: {enum: [a]}, value: '${s}'}}}",
    ],
)
def test_no_diagnostic_shows_a_secret(evaluate: Evaluate, text: str) -> None:
    found = evaluate(f"{text[:-1]}, s: {{fn::secret: hushhush}}}}", variables={})
    assert found.errors
    assert "hushhush" not in " ".join(one.message for one in found.diagnostics)


# -- sophia's own names --------------------------------------------------------------------------------------------------


def test_a_name_that_nothing_defines_is_a_secret_process_variable(evaluate: Evaluate) -> None:
    found = evaluate('values: {a: "${MY_IP}", b: "at ${MY_IP}"}', variables={"MY_IP": "203.0.113.9"})
    assert values(found) == {"a": "[secret]", "b": "[secret]"}
    assert found.values(reveal=True) == {"a": "203.0.113.9", "b": "at 203.0.113.9"}


def test_own_keys_and_imports_win_over_process_variables(evaluate: Evaluate) -> None:
    found = evaluate(
        'imports: [a]\nvalues: {A: own, x: "${A} ${B}"}',
        {"a.yaml": "values: {B: base}"},
        variables={"A": "env", "B": "env"},
    )
    assert values(found)["x"] == "own base"


def test_variables_are_looked_up_in_imports_too_and_every_missing_one_is_named(problems: Problems) -> None:
    files = {"base.yaml": "values:\n  b: ${BASE_KEY}\n"}
    found = problems(
        'imports: [base]\nvalues:\n  a:\n    fn::secret: "${MY_KEY}"\n  c: "x ${OTHER}"\n', files, variables={}
    )
    assert [(file, line, column) for file, line, column, _ in found] == [
        ("base.yaml", 2, 8),
        ("env.yaml", 4, 17),
        ("env.yaml", 5, 6),
    ]
    for name, (_, _, _, message) in zip(("BASE_KEY", "MY_KEY", "OTHER"), found, strict=True):
        assert f"environment variable {name} is not set" in message
        assert f"export {name}=" in message


def test_a_variable_that_is_set_but_empty_is_an_error(problems: Problems) -> None:
    (found,) = problems("values:\n  ip: ${MY_IP}\n", variables={"MY_IP": ""})
    assert found[:3] == ("env.yaml", 2, 9)
    assert "MY_IP is set but empty" in found[3]


def test_the_error_for_missing_variables_carries_all_of_them_in_the_public_shape(evaluate: Evaluate) -> None:
    with pytest.raises(InvalidEnvironment) as caught:
        evaluate("values: {a: '${ONE_X}', b: '${TWO_X}'}", variables={}).require()
    assert caught.value.exit_code == 64
    assert "ONE_X" in caught.value.message
    assert "TWO_X" in caught.value.message
    (first, _) = caught.value.details["diagnostics"]
    assert set(first) == {"severity", "path", "file", "line", "column", "message"}
    assert first["path"] == "values.a"


def test_missing_variables_can_be_unknown_with_a_warning(evaluate: Evaluate) -> None:
    found = evaluate("values: {a: '${ONE_X}'}", variables={}, missing_variables="unknown")
    assert values(found) == {"a": "[secret]"}
    assert found.get("a").unknown  # type: ignore[union-attr]
    assert [one.severity for one in found.diagnostics] == ["warning"]


def test_a_misspelt_key_gets_a_suggestion_and_not_an_export(problems: Problems) -> None:
    assert problems("values: {domain: x, b: '${domian}'}", variables={}) == [
        ("env.yaml", 1, 24, 'unknown property "domian"; did you mean "domain"?')
    ]


def test_variables_are_not_looked_up_when_a_definition_comes_from_the_cloud(problems: Problems) -> None:
    found = problems(
        "imports: [p/e]\nvalues: {a: '${HOME_X}'}",
        cloud={"p/e": "values: {x: '${HOME_X}'}"},
        variables={"HOME_X": "secret"},
    )
    assert [one[3] for one in found] == ['unknown property "HOME_X"', 'unknown property "HOME_X"']


def test_a_definition_from_the_cloud_reaches_neither_files_nor_variables_of_this_machine(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    cloud = {"p/e": "imports: [local]\nvalues: {f: {fn::open::file: {path: env.yaml}}, v: {fn::open::env: {k: HOME}}}"}
    found = evaluate("imports: [p/e]", {"local.yaml": "values: {x: 1}"}, cloud=cloud, variables={"HOME": "/root"})
    assert found.values() == {"f": "[unknown]", "v": "[unknown]"}
    assert 'there is no environment "local"' in found.diagnostics[0].message


def test_pulumi_names_come_from_the_context_unless_the_file_defines_them(evaluate: Evaluate) -> None:
    context = Context(stack="staging", project="shop", organization="acme")
    text = 'values: {a: "${pulumi.stack}-${pulumi.project}-${pulumi.organization}", pulumi: {work_dir: x}}'
    assert values(evaluate(text, context=context))["a"] == "staging-shop-acme"
    assert values(evaluate('values: {a: "${pulumi.stack}", pulumi: {stack: own}}', context=context))["a"] == "own"


def test_the_stack_is_the_environments_name_when_nothing_says_otherwise(evaluate: Evaluate) -> None:
    found = evaluate('values: {a: "${pulumi.stack}", b: "${pulumi.project}"}')
    assert values(found) == {"a": "env", "b": "[unknown]"}
    assert "the project is not known here" in found.diagnostics[0].message


def test_outputs_of_stacks_are_known_when_given_and_unknown_otherwise(evaluate: Evaluate) -> None:
    context = Context(
        outputs={"prod": {"ip": "192.0.2.1", "net": {"id": 5}, "key": "k"}}, secret_outputs=frozenset({("prod", "key")})
    )
    text = (
        'values: {a: "${stacks.prod.outputs.ip}", b: "${stacks.prod.outputs.net.id}",'
        ' c: "${stacks.dev.outputs.ip}", d: "${stacks.prod.outputs.key}"}'
    )
    assert values(evaluate(text, context=context)) == {"a": "192.0.2.1", "b": 5, "c": "[unknown]", "d": "[secret]"}


# -- diagnostics ---------------------------------------------------------------------------------------------------------

WRONG = [
    ("a: ${b.c}\nb: 1", 2, 7, "receiver must be an array or an object"),
    ("a: ${b[2]}\nb: [1]", 2, 7, "array index 2 out-of-bounds for array of length 1"),
    ("a: ${b[-1]}\nb: [1]", 2, 7, "array indices must not be negative"),
    ("a: ${b.x}\nb: [1]", 2, 7, "cannot access an array element using a property name"),
    ("a: ${b[0]}\nb: {x: 1}", 2, 7, "cannot access an object property using an integer index"),
    ("a: ${b.lost}\nb: {x: 1}", 2, 7, 'unknown property "lost"'),
    ("a: ${nowhere.b}", 2, 6, 'unknown property "nowhere"'),
    ('a: "${nowhere.b}"', 2, 4, 'unknown property "nowhere"'),
    ("a: x ${b.", 2, 9, "property name must not be empty"),
    ("a: ${b", 2, 7, "missing closing brace '}' in interpolation"),
    ("a: ${}", 2, 6, "property access expressions cannot be empty"),
    ("a: ${b[x]}", 2, 8, "numeric subscript must be a positive base-10 integer"),
    ("a: ${[0]}", 2, 6, "the first accessor must be a property name or key subscript, not a numeric subscript"),
    ("a: ${a}", 2, 4, "cyclic reference to a"),
    ("imports: 1", 2, 1, '"imports" is a reserved key'),
    ("context: 1", 2, 1, '"context" is a reserved key'),
    ("environments: 1", 2, 1, '"environments" is a reserved key'),
    ("a: 1\na: 2", 3, 1, 'duplicate key "a"'),
    ("m: {a: 1, a: 2}", 2, 11, 'duplicate key "a"'),
    ("m: {fn::nope: 1}", 2, 5, "'fn::' is a reserved prefix: fn::nope is not a built-in"),
    ("m: {FN::join: 1}", 2, 5, "'fn::' is a reserved prefix: FN::join is not a built-in"),
    ("fn::join: 1", 2, 1, 'builtin function call "fn::join" not allowed at the top level'),
]


@pytest.mark.parametrize(("body", "line", "column", "message"), WRONG)
def test_each_wrong_reference_and_key_is_named_with_its_place(
    problems: Problems, body: str, line: int, column: int, message: str
) -> None:
    indented = "\n".join(f" {text}" for text in body.split("\n"))
    found = problems(f"values:\n{indented}\n")
    assert ("env.yaml", line, column + 1, message) in found


def test_everything_wrong_is_reported_in_one_run_in_order(problems: Problems) -> None:
    body = "values:\n" + "".join(f"  k{index}: ${{lost{index}.x}}\n" for index in range(30))
    assert [one[1] for one in problems(body)] == list(range(2, 32))


def test_a_cycle_over_several_keys_is_reported_once_for_each_way_in(problems: Problems) -> None:
    found = problems('values:\n  a: ${b}\n  b: x ${c}\n  c: ["${a}"]\n  ok: ${fine}\n  fine: 1\n')
    assert {one[3] for one in found} == {"cyclic reference to a"}


@pytest.mark.parametrize(
    ("text", "files", "line", "column", "message"),
    [
        ("imports: [env]", {}, 1, 11, "cyclic import of env"),
        ("imports: 1", {}, 1, 10, "imports must be a list"),
        ("imports: [[a]]", {}, 1, 11, "import must be a string or an object"),
        ("imports: [{a: {}, b: {}}]", {}, 1, 11, "import must have a single key"),
        ("imports: [{a: {merge: 1}}]", {"a.yaml": "a: 1"}, 1, 23, "merge must be a boolean value"),
        ("- a", {}, 1, 1, "environment must be an object"),
        ("just text", {}, 1, 1, "environment must be an object"),
        ("values: [a]", {}, 1, 9, "values must be an object"),
        ("values:", {}, 1, 8, "values must be an object"),
        ("imports: [../x]", {}, 1, 11, '"../x" is not the name of an environment; write NAME or PROJECT/NAME'),
        (
            "imports: [/etc/passwd]",
            {},
            1,
            11,
            '"/etc/passwd" is not the name of an environment; write NAME or PROJECT/NAME',
        ),
    ],
)
def test_wrong_imports_and_documents_are_named_with_their_place(
    problems: Problems, text: str, files: dict[str, str], line: int, column: int, message: str
) -> None:
    assert ("env.yaml", line, column, message) in problems(text, files)


def test_an_import_cycle_over_two_files_is_an_error_and_no_recursion(problems: Problems) -> None:
    found = problems("imports: [a]", {"a.yaml": "imports: [b]", "b.yaml": "imports: [a]"})
    assert found == [("b.yaml", 1, 11, "cyclic import of a")]


def test_a_missing_import_says_where_it_was_looked_for_and_hides_no_missing_variable(problems: Problems) -> None:
    found = problems("imports: [base]\nvalues:\n  a: ${from_base}\n  b: ${MY_IP}\n", variables={})
    assert [one[1] for one in found] == [1, 4]
    assert 'there is no environment "base": looked for' in found[0][3]
    assert "base.yaml" in found[0][3]


def test_a_missing_import_hides_no_wrong_key_of_the_files_own_maps(problems: Problems) -> None:
    found = problems("imports: [base]\nvalues:\n  m: {k: [1]}\n  a: ${m.k[4]}\n")
    assert [one[1] for one in found] == [1, 4]


def test_an_import_that_is_broken_is_reported_in_its_own_file(problems: Problems) -> None:
    found = problems("imports: [a]\nvalues: {x: '${inside.it}'}", {"a.yaml": "values:\n  a: [1\n"})
    assert [(one[0], one[1]) for one in found] == [("a.yaml", 3)]


def test_unknown_top_keys_are_warned_about_beside_values(problems: Problems) -> None:
    (found,) = problems("values: {a: 1}\nvalus: {b: 2}\n")
    assert found[:3] == ("env.yaml", 2, 1)
    assert "Field 'valus' does not exist on Object 'environment'" in found[3]


def test_a_long_chain_of_references_is_followed_or_refused_and_never_a_traceback(evaluate: Evaluate) -> None:
    chain = "values:\n" + "".join(f"  k{index}: ${{k{index + 1}}}\n" for index in range(3000)) + "  k3000: end\n"
    found = evaluate(chain)
    assert found.errors == () or "nest too deeply" in found.errors[0].message


def test_an_empty_file_is_an_empty_environment_with_a_warning(problems: Problems) -> None:
    assert problems("# nothing\n") == [("env.yaml", 1, 1, "the environment is empty")]


# -- projections and explaining ------------------------------------------------------------------------------------------


def test_projections_take_scalars_as_text_and_nested_configuration_as_it_is(evaluate: Evaluate) -> None:
    found = evaluate(
        "values:\n  environmentVariables: {A: 1.50, B: true, C: {fn::secret: s}, D: [x], E: null}\n"
        "  files: {KUBECONFIG: text, M: {a: 1}}\n  pulumiConfig: {aws:region: r, m: {a: 1, s: {fn::secret: x}}}\n"
    )
    assert found.environment_variables() == {"A": "1.50", "B": "true", "C": "[secret]", "E": ""}
    assert found.environment_variables(reveal=True)["C"] == "s"
    assert found.temporary_files() == {"KUBECONFIG": "text"}
    assert found.pulumi_config() == {"aws:region": "r", "m": {"a": 1, "s": "[secret]"}}
    assert not found.config_entries()["m"].secret


def test_explain_names_each_file_and_line_that_contributed(evaluate: Evaluate) -> None:
    files = {"a.yaml": "values:\n  ttl: 60\n", "b.yaml": "values:\n  ttl: 120\n"}
    text = 'imports: [a, b]\nvalues:\n  ttl: "${fast}"\n  fast: "${MY_TTL}"\n'
    steps = evaluate(text, files, variables={"MY_TTL": "30"}).explain("ttl")
    assert [(step.role, Path(step.file).name, step.line, step.note, step.secret) for step in steps] == [
        ("value", "env.yaml", 3, "${fast}", True),
        ("from", "env.yaml", 4, "${MY_TTL}", True),
        ("from", "env.yaml", 4, "environment variable MY_TTL", True),
        ("overridden", "b.yaml", 2, "", False),
        ("overridden", "a.yaml", 2, "", False),
    ]
    assert steps[0].shown == "[secret]"


def test_explain_of_an_inherited_value_names_the_import(evaluate: Evaluate) -> None:
    (step,) = evaluate("imports: [a]\nvalues: {m: {y: 1}}", {"a.yaml": "values:\n  m:\n    x: 1\n"}).explain("m.x")
    assert (Path(step.file).name, step.line, step.column, step.path) == ("a.yaml", 3, 8, "m.x")


def test_explain_of_nothing_is_empty(evaluate: Evaluate) -> None:
    assert evaluate("values: {a: 1}").explain("b.c") == ()
