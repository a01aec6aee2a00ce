"""From an environment's text to what a stack gets: the `pulumi` section, `pulumiConfig` and `environmentVariables`."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from sophia_cli.core.settings import Pulumi
from sophia_cli.esc.load import load
from sophia_cli.esc.settings import read, stack_inputs
from sophia_cli.providers.pulumi.configuration import edited, secrets_in, setting, unknown_keys, wanted

TEXT = """values:
  pulumi:
    work_dir: infra
    backend: file://./state
    program: web:stack
    project: shop
    secrets_provider: passphrase
    passphrase: {fn::secret: open sesame}
    home: ~/.pulumi
    plugins: ~/.pulumi/plugins
    policy_packs: [policies]
    pass_variables: [AWS_PROFILE]
    stacks: {prod: {name: prod}}
  pulumiConfig:
    aws:region: eu
    count: 3
    ratio: 1.5
    on: true
    db: {port: 5432, password: {fn::secret: hunter2}}
    sealed: {fn::secret: {ciphertext: ZXNjeA==}}
  environmentVariables: {REGION: eu, PASSWORD: {fn::secret: hunter2}, PORT: 80}
"""


def test_the_section_is_read_in_full_and_its_passphrase_never_shown(tmp_path: Path) -> None:
    (tmp_path / "prod.yaml").write_text(TEXT)
    found = read(load(tmp_path / "prod.yaml")).settings.pulumi
    assert found == Pulumi(
        work_dir="infra",
        backend="file://./state",
        stacks=found.stacks,
        program="web:stack",
        project="shop",
        secrets_provider="passphrase",
        passphrase=SecretStr("open sesame"),
        home="~/.pulumi",
        plugins="~/.pulumi/plugins",
        policy_packs=("policies",),
        pass_variables=("AWS_PROFILE",),
    )
    assert "sesame" not in repr(found)


def test_configuration_keeps_its_types_and_its_secrets(tmp_path: Path) -> None:
    (tmp_path / "prod.yaml").write_text(TEXT)
    config, variables = stack_inputs(load(tmp_path / "prod.yaml"))
    asked = wanted("shop", config)
    assert {key: setting(value).value for key, value in asked.items()} == {
        "aws:region": "eu",
        "shop:count": "3",
        "shop:ratio": "1.5",
        "shop:on": "true",
        "shop:db": {"port": 5432, "password": "hunter2"},
    }
    assert unknown_keys("shop", config) == ("shop:sealed",)
    assert [one.get_secret_value() for one in secrets_in(asked)] == ["hunter2"]
    assert "hunter2" not in edited("", asked, {"hunter2": "v1:sealed"})
    assert (variables["REGION"], variables["PORT"]) == ("eu", "80")
    assert variables["PASSWORD"] == SecretStr("hunter2")
