"""The stack the tests run: what `resources.json` lists, with the stack's configuration mixed in."""

import json
import os
import time
import urllib.request

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult


class Files(ResourceProvider):
    """A file is the resource; its path cannot be changed in place."""

    def create(self, inputs):
        with open(inputs["path"], "w") as stream:
            stream.write(inputs["text"])
        return CreateResult(inputs["path"], dict(inputs))

    def read(self, id_, props):
        if not os.path.exists(id_):
            return ReadResult("", {})
        with open(id_) as stream:
            return ReadResult(id_, {**props, "text": stream.read()})

    def update(self, _id, _olds, news):
        with open(news["path"], "w") as stream:
            stream.write(news["text"])
        return UpdateResult(dict(news))

    def delete(self, id_, _props):
        if os.path.exists(id_):
            os.remove(id_)

    def diff(self, _id, olds, news):
        changed = [key for key in ("path", "text") if olds.get(key) != news.get(key)]
        return DiffResult(changes=bool(changed), replaces=[key for key in changed if key == "path"])


class Calls(ResourceProvider):
    """A resource behind a HTTP service on loopback."""

    def create(self, inputs):
        request = urllib.request.Request(inputs["url"], data=inputs["body"].encode(), method="PUT")
        with urllib.request.urlopen(request, timeout=5) as answer:
            return CreateResult(answer.read().decode(), dict(inputs))


class Fails(ResourceProvider):
    """A resource that cannot be made."""

    def create(self, inputs):
        raise RuntimeError("quota exceeded for " + inputs["text"])


class Slow(ResourceProvider):
    """A resource that takes its time, and says so in a file."""

    def create(self, inputs):
        with open(inputs["path"], "w") as stream:
            stream.write("begun")
        time.sleep(float(inputs["seconds"]))
        return CreateResult("slow", dict(inputs))


PROVIDERS = {"file": Files, "call": Calls, "fail": Fails, "slow": Slow}


class Thing(Resource):
    def __init__(self, kind, name, inputs, opts):
        super().__init__(PROVIDERS[kind](), name, inputs, opts)


class Group(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("tests:index:Group", name)


config = pulumi.Config()
group = None
with open("resources.json") as source:
    listed = json.load(source)
for entry in listed:
    kind, name = entry.pop("kind"), entry.pop("name")
    opts = pulumi.ResourceOptions(protect=entry.pop("protect", None), parent=group)
    if kind == "raise":
        raise ValueError("boom " + (config.get("token") or ""))
    if kind == "group":
        group = Group(name)
    elif kind == "stash":
        stash = pulumi.Stash(name, input=config.require_secret("token"), opts=opts)
        pulumi.export("token", stash.output)
    else:
        inputs = {key: config.get(value[1:]) if str(value).startswith("$") else value for key, value in entry.items()}
        thing = Thing(kind, name, inputs, opts)
        pulumi.export(name, thing.id)
pulumi.export("count", len(listed))
