"""What the CLI and the engine are known to say when they fail, and what each means: a table of data. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

from sophia_cli.core.errors import (
    CredentialsMissing,
    CredentialsRejected,
    InvalidEnvironment,
    Locked,
    ProviderRefused,
    RateLimited,
    Refused,
    SophiaError,
    StalePlan,
    StateError,
    Unreachable,
)

INSTALL = "install the official CLI (https://www.pulumi.com/docs/install/), then run: sophia doctor"
# Why something was refused, for callers that can do something about it (`details["reason"]`).
PROTECTED = "protected"
CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Failure:
    """One known failure: a pattern in what was said, and the error it means.

    Message and hint may name `{stack}`, `{folder}` of its project, the `{program}`, `{backend}`, `{home}` (a `PULUMI_HOME=...`
    for a command line), `{release}` of a plugin, what was `{said}`, the `{last}` line of a program's error, and the
    pattern's groups, which also become the error's details.
    """

    pattern: str
    kind: type[SophiaError]
    message: str
    hint: str
    reason: str = ""


# The first that fits is taken. Texts are those of CLI 3.260; older ones are said to be.
FAILURES: tuple[Failure, ...] = (
    Failure(
        r"\b409\b.*(conflict|update is already in progress|another update)|another update is currently",
        Locked,
        "another update holds the stack in Pulumi Cloud (409 Conflict)",
        "wait until it ends, or stop it: pulumi cancel -s {stack}",
        CONFLICT,
    ),
    # -- secrets
    Failure(
        r"incorrect passphrase",
        CredentialsRejected,
        "the passphrase does not open the stack's secrets",
        "set the stack's own passphrase: pulumi.passphrase, PULUMI_CONFIG_PASSPHRASE or ..._FILE",
    ),
    Failure(
        r"passphrase must be set",
        CredentialsMissing,
        "its secrets are kept under a passphrase, and none is given",
        "set pulumi.passphrase, or export PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE",
    ),
    Failure(
        r"unable to read PULUMI_CONFIG_PASSPHRASE_FILE",
        CredentialsMissing,
        "the file of its passphrase cannot be read{said}",
        "mend PULUMI_CONFIG_PASSPHRASE_FILE, or set pulumi.passphrase",
    ),
    # A key service answers through Go Cloud (gocloud.dev/secrets), which puts its own code before the service's words.
    Failure(
        r"secrets \(code=\w+\)[\s\S]*?(code: 403|permission ?denied|accessdenied|403 forbidden|invalid token)",
        CredentialsRejected,
        "the key service refuses the key of the stack's secrets{said}",
        "log in to it with an identity that may use the key (pulumi.secrets_provider names it)",
    ),
    Failure(
        r"secrets \(code=\w+\)[\s\S]*?(no such host|connection refused|i/o timeout|network is unreachable)",
        Unreachable,
        "the key service of the stack's secrets did not answer{said}",
        "run the command again when it is there; its address is the service's own variable, such as VAULT_SERVER_URL",
    ),
    Failure(
        r"secrets \(code=\w+\)|constructing secrets manager of type \"cloud\"|(VAULT|AWS|AZURE)_\w+ (is not set|must be set)",
        ProviderRefused,
        "the key of the stack's secrets cannot be used{said}",
        "look at pulumi.secrets_provider and at the login of its key service",
    ),
    # -- the backend and its login
    Failure(
        r"PULUMI_ACCESS_TOKEN must be set|not logged in|no credentials for",
        CredentialsMissing,
        "nobody is logged in to the stack's backend{backend}",
        "set PULUMI_ACCESS_TOKEN, or share your own login (pulumi.home: ~/.pulumi, after: pulumi login), or name a backend "
        "that needs none, such as pulumi.backend: file://./state",
    ),
    Failure(
        r"unauthorized: no credentials|requires logging in|\b401\b.*unauthorized|invalid access token|\b403\b.*forbidden",
        CredentialsRejected,
        "the backend does not accept the login{said}",
        "set PULUMI_ACCESS_TOKEN to a valid token; with pulumi.home, log in again: pulumi login",
    ),
    Failure(
        r"request rate-limit exceeded|\[429\]",
        RateLimited,
        "the backend takes no more requests for now{said}",
        "wait a minute, then run the command again",
    ),
    Failure(
        r"no stack named|stack '[^']*' not found|\[404\].*stack",
        ProviderRefused,
        "there is no such stack{backend}",
        "look at what there is: pulumi stack ls --all; or make it: pulumi stack init {stack}",
        "stack not found",
    ),
    Failure(
        r"unable to open (state directory|bucket)|could not (list|open) bucket",
        StateError,
        "the backend cannot be opened{said}",
        "a file backend's folder must exist: make it, or mend pulumi.backend",
    ),
    # -- what a program needs
    Failure(
        r"no language plugin 'pulumi-language-(?P<language>[\w-]+)'",
        InvalidEnvironment,
        "the language host for {language} (pulumi-language-{language}) is not installed",
        f"it comes with the official CLI: {INSTALL}",
    ),
    Failure(
        r"resource plugin '(?:pulumi-resource-)?(?P<plugin>pulumi-(?:python|nodejs))'",
        InvalidEnvironment,
        "the resource plugin {plugin} is not installed, and sophia downloads none by itself",
        f"it comes with the official CLI, beside its language hosts: {INSTALL}",
    ),
    Failure(  # older CLIs join the version to the name
        r"(?:no|install) resource plugin '(?:pulumi-resource-)?(?P<plugin>[\w.-]+?)(?:[- ]v?(?P<version>\d[\w.+-]*))?'"
        r"(?: found in the workspace at version v?(?P<at>\d[\w.+-]*))?",
        InvalidEnvironment,
        "the resource plugin {plugin}{release} is not installed, and sophia downloads none by itself",
        "install it: {home}pulumi plugin install resource {plugin}{release}; or share yours: pulumi.plugins",
    ),
    Failure(
        r"No module named 'pulumi|Have you run pip install|Cannot find module '@pulumi|run npm install",
        InvalidEnvironment,
        "the program in {folder} lacks its packages{last}",
        "install them: cd {folder} && pulumi install",
    ),
    Failure(
        r"no Pulumi\.yaml project file found|failed to load project|could not find Pulumi\.yaml",
        InvalidEnvironment,
        "there is no Pulumi project in {folder}",
        "name the folder that holds Pulumi.yaml: pulumi.work_dir",
    ),
    Failure(
        r"does not support environments",
        InvalidEnvironment,
        "its configuration imports ESC environments, which this backend does not support",
        "take `environment:` out of the stack's file; sophia hands pulumiConfig over by itself",
    ),
    Failure(
        r"getting stack configuration: invalid YAML file|could not unmarshal '[^']*Pulumi\.",
        InvalidEnvironment,
        "a file of the project in {folder} is not YAML{said}",
        "mend it, then run: sophia plan",
    ),
    Failure(
        r"Missing required configuration variable '(?P<key>[^']+)'",
        InvalidEnvironment,
        "the program needs the configuration value {key}",
        "add it: sophia config set 'pulumiConfig[\"{key}\"]' VALUE",
    ),
    # -- what an update meets
    Failure(
        r"violates plan|update plan",
        StalePlan,
        "the engine stopped at a step that the approved plan does not hold{said}",
        "run: sophia plan",
    ),
    Failure(
        r"cannot be deleted\s+because it is protected|is protected|protected resources?|as it is currently marked for protection",
        Refused,
        "a protected resource would be deleted or replaced{said}",
        "take `protect` off it in the program first, apply that, and then delete it",
        PROTECTED,
    ),
    Failure(
        r"pending operations",
        ProviderRefused,
        "an earlier update was cut off, and what became of its resources is not known{said}",
        "find out: cd {folder} && pulumi refresh -s {stack}",
    ),
    Failure(
        r"Program failed with an unhandled exception|program exited with non-zero exit code|unable to find main",
        InvalidEnvironment,
        "the program raised an error{last}",
        "mend the program {program}, then run: sophia plan",
    ),
    Failure(
        r"no such host|connection refused|connection reset|i/o timeout|network is unreachable|TLS handshake|\[5\d\d\]",
        Unreachable,
        "the backend did not answer{said}",
        "run the command again, or run: sophia doctor",
    ),
)
