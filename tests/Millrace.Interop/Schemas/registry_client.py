"""Calls every method of confluent_kafka's SchemaRegistryClient, and prints OK.

usage: registry_client.py URL
"""
import json, sys
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

client = SchemaRegistryClient({"url": sys.argv[1]})


def refused(code, call, *arguments):
    try:
        call(*arguments)
    except SchemaRegistryError as error:
        assert error.error_code == code, (error.error_code, code, str(error))
        return str(error)
    raise AssertionError("not refused: %s %s" % (call.__name__, arguments))


def closed(*names):
    return Schema(json.dumps({"type": "object", "properties": {n: {"type": "string"} for n in names}, "additionalProperties": False}), "JSON")


def opened(*names):
    return Schema(json.dumps({"type": "object", "properties": {n: {"type": "string"} for n in names}}), "JSON")


assert client.get_subjects() == []
refused(40401, client.get_versions, "nothing")

# Avro: register, look up, read by id and by version, refuse what does not fit.
first = Schema('{"type": "record", "name": "A", "fields": [{"name": "x", "type": "int"}]}', "AVRO")
wider = Schema('{"type": "record", "name": "A", "fields": [{"name": "x", "type": "long"}, {"name": "y", "type": "int", "default": 0}]}', "AVRO")
narrow = Schema('{"type": "record", "name": "A", "fields": [{"name": "x", "type": "string"}]}', "AVRO")
one = client.register_schema("a-value", first)
assert client.register_schema("a-value", first) == one
assert client.test_compatibility("a-value", wider) and not client.test_compatibility("a-value", narrow)
two = client.register_schema("a-value", wider)
assert two > one and client.get_schema(one).schema_type == "AVRO"
assert client.get_latest_version("a-value").version == 2 and client.get_version("a-value", 1).schema_id == one
assert client.lookup_schema("a-value", first).version == 1
refused(409, client.register_schema, "a-value", narrow)

# JSON Schema: the content model decides.
client.register_schema("j-value", closed("a"))
assert client.test_compatibility("j-value", closed("a", "b")) and not client.test_compatibility("j-value", closed())
assert not client.test_compatibility("j-value", Schema(json.dumps({"type": "object", "properties": {"a": {"type": "number"}}}), "JSON"))
client.register_schema("j-value", closed("a", "b"))
message = refused(409, client.register_schema, "j-value", closed("b"))
assert "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL" in message, message
client.register_schema("o-value", opened("a", "b"))
assert client.test_compatibility("o-value", opened("a")) and not client.test_compatibility("o-value", opened("a", "b", "c"))
client.set_compatibility("o-value", "FORWARD")
assert client.test_compatibility("o-value", opened("a", "b", "c")) and not client.test_compatibility("o-value", opened("a"))
assert client.get_compatibility("o-value") == "FORWARD" or client.get_compatibility("o-value") == {"compatibilityLevel": "FORWARD"}
client.set_compatibility("o-value", "FULL")
assert not client.test_compatibility("o-value", opened("a"))
client.set_compatibility("o-value", "NONE")
client.register_schema("o-value", Schema('{"type": "array"}', "JSON"))
# Transitive: the newest alone would be fine with it.
client.set_compatibility("t-value", "BACKWARD_TRANSITIVE")
client.register_schema("t-value", Schema('{"enum": ["a", "b"]}', "JSON"))
client.register_schema("t-value", Schema('{"enum": ["a", "b", "c"]}', "JSON"))
client.set_compatibility("t-value", "NONE")
client.register_schema("t-value", Schema('{"enum": ["b", "c"]}', "JSON"))
client.set_compatibility("t-value", "BACKWARD")
assert client.test_compatibility("t-value", Schema('{"enum": ["b", "c", "d"]}', "JSON"))
client.set_compatibility("t-value", "BACKWARD_TRANSITIVE")
refused(409, client.register_schema, "t-value", Schema('{"enum": ["b", "c", "d"]}', "JSON"))

# A reference to another schema, by name.
client.register_schema("zip", Schema('{"$id": "zip.json", "type": "string", "maxLength": 5}', "JSON"))
to = {"type": "object", "properties": {"zip": {"$ref": "zip.json"}}}
client.register_schema("to-value", Schema(json.dumps(to), "JSON", [SchemaReference("zip.json", "zip", 1)]))
to["properties"]["zip"] = {"type": "string", "maxLength": 4}
assert not client.test_compatibility("to-value", Schema(json.dumps(to), "JSON"))

# Protobuf.
client.register_schema("p-value", Schema('syntax = "proto3"; message A { int32 x = 1; string y = 2; }', "PROTOBUF"))
assert client.test_compatibility("p-value", Schema('syntax = "proto3"; message A { int64 x = 1; oneof o { string y = 2; } }', "PROTOBUF"))
assert not client.test_compatibility("p-value", Schema('syntax = "proto3"; message A { oneof o { int32 x = 1; string y = 2; } }', "PROTOBUF"))

assert client.delete_version("a-value", 1) == 1
assert client.delete_subject("a-value") == [2]
assert "a-value" not in client.get_subjects()

# A context has subjects and ids of its own.
other = SchemaRegistryClient({"url": sys.argv[1] + "/contexts/.lab"})
assert other.get_subjects() == []
assert other.register_schema("a-value", wider) == 1
assert other.get_latest_version("a-value").version == 1 and client.get_versions(":.lab:a-value") == [1]
assert other.get_schema(1).schema_str == wider.schema_str
print("OK")
