"""The program: one web server, played by a file, so that the example needs no cloud."""

import json
from pathlib import Path

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

HERE = Path(__file__).parent


class Servers(ResourceProvider):
    """A "server" is a file below this folder; its name is its id."""

    def create(self, inputs):
        path = HERE / "servers" / (inputs["name"] + ".json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(inputs["settings"])
        return CreateResult(inputs["name"], dict(inputs))

    def read(self, id_, props):
        path = HERE / "servers" / (id_ + ".json")
        if not path.exists():
            return ReadResult("", {})
        return ReadResult(id_, {**props, "settings": path.read_text()})

    def update(self, id_, _olds, news):
        (HERE / "servers" / (id_ + ".json")).write_text(news["settings"])
        return UpdateResult(dict(news))

    def delete(self, id_, _props):
        (HERE / "servers" / (id_ + ".json")).unlink(missing_ok=True)

    def diff(self, _id, olds, news):
        renamed = olds.get("name") != news.get("name")
        changed = renamed or olds.get("settings") != news.get("settings")
        return DiffResult(changes=changed, replaces=["name"] if renamed else [])


class Server(Resource):
    def __init__(self, name, settings):
        super().__init__(Servers(), name, {"name": name, "settings": settings})


def main():
    config = pulumi.Config()
    settings = json.dumps({"workers": config.require_int("webhookWorkers"), "region": config.require("region")})
    server = Server(f"web-{pulumi.get_stack()}", settings)
    pulumi.export("server", server.id)
    pulumi.export("ip", "203.0.113.40" if pulumi.get_stack() == "prod" else "203.0.113.41")
