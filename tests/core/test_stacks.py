"""Stacks as values: what counts as stateful, and what a stack's content shows of secrets."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from sophia_cli.core.stacks import Output, Resource, ResourceState, StackState, name_of, state_kind, type_of

STATEFUL = {
    "aws:rds/instance:Instance": "database",
    "gcp:sql/databaseInstance:DatabaseInstance": "database",
    "digitalocean:index/databaseCluster:DatabaseCluster": "database",
    "aws:dynamodb/table:Table": "database",
    "aws:elasticache/replicationGroup:ReplicationGroup": "database",
    "aws:s3/bucket:Bucket": "bucket",
    "aws:s3/bucketV2:BucketV2": "bucket",
    "azure-native:storage:StorageAccount": "bucket",
    "hcloud:index/volume:Volume": "volume",
    "aws:efs/fileSystem:FileSystem": "volume",
    "kubernetes:core/v1:PersistentVolumeClaim": "volume",
    "aws:ec2/eip:Eip": "address",
    "gcp:compute/address:Address": "address",
    "hcloud:index/primaryIp:PrimaryIp": "address",
    "azure-native:network:PublicIPAddress": "address",
}
MADE_AGAIN = (
    "aws:s3/bucketPolicy:BucketPolicy",
    "hcloud:index/volumeAttachment:VolumeAttachment",
    "aws:rds/subnetGroup:SubnetGroup",
    "aws:ec2/routeTable:RouteTable",
    "aws:ec2/instance:Instance",
    "hcloud:index/server:Server",
    "pulumi:pulumi:Stack",
    "tests:index:Group",
)


@pytest.mark.parametrize(("token", "kind"), STATEFUL.items())
def test_what_cannot_be_made_again_is_stateful(token: str, kind: str) -> None:
    assert state_kind(token) == kind


@pytest.mark.parametrize("token", MADE_AGAIN)
def test_what_the_program_makes_again_is_not_stateful(token: str) -> None:
    assert state_kind(token) is None


def test_name_and_type_are_the_last_of_a_urn() -> None:
    urn = "urn:pulumi:prod::shop::tests:index:Group$aws:s3/bucket:Bucket::logs"
    assert (name_of(urn), type_of(urn)) == ("logs", "aws:s3/bucket:Bucket")


def test_a_resource_comes_back_from_its_public_shape() -> None:
    resource = Resource("urn:pulumi:p::s::t:t:T::n", "t:t:T", "n", "id-1", True, True, {"b": [1], "a": None}, ("b",))
    assert Resource.from_data(json.loads(json.dumps(resource.data()))) == resource
    assert hash(resource) == hash(Resource.from_data(resource.data()))


def test_an_output_shows_neither_a_secret_nor_a_value_that_is_not_known() -> None:
    assert Output(SecretStr('"x"'), True).data() == {"value": "[secret]", "secret": True, "known": True}
    assert Output(None, False, False).data() == {"value": "[unknown]", "secret": False, "known": False}
    assert Output.from_data(Output([1, {"a": 2}]).data()) == Output([1, {"a": 2}])


def test_the_digest_of_a_stack_follows_inputs_outputs_configuration_and_cut_off_operations() -> None:
    state = StackState("o/p/s", True, {"u": ResourceState.of("t", "1", False, {"a": "x"}, {"a": "x", "b": "y"})})
    others = [
        StackState("o/p/s", False, state.resources),
        StackState("o/p/s", True, {"u": ResourceState.of("t", "1", False, {"a": "x"}, {"a": "z", "b": "y"})}),
        StackState("o/p/s", True, {"u": ResourceState.of("t", "1", True, {"a": "x"}, {"a": "x", "b": "y"})}),
        StackState("o/p/s", True, state.resources, {"k": "v"}),
        StackState("o/p/s", True, state.resources, pending=("creating u",)),
        StackState("o/p/s", True, state.resources, outputs={"ip": Output("1")}),
    ]
    assert len({one.digest() for one in (state, *others)}) == len(others) + 1
    assert StackState.from_data(json.loads(json.dumps(state.data()))).digest() == state.digest()
    assert state.resources["u"].values == {"a": "x", "b": "y"}
